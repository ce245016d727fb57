"""Limits and budgets in a browser: what may be had, what is in use, what to know of it now; and a
form that changes them, for administrators.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec
from starlette.responses import Response

from shoal.core import limits as decisions
from shoal.core.limits import span, usd
from shoal.errors import InvalidRequest
from shoal.server import gate
from shoal.server.desk import Incoming
from shoal.server.handlers.limits import change_limits, view_of
from shoal.server.pages import exports
from shoal.server.pages.forms import checked_form
from shoal.server.pages.frame import Visit, redirect
from shoal.store import limits as limit_rows
from shoal.wire.ids import UserName
from shoal.wire.limits import (
    EACH,
    FIELDS,
    WHOLE,
    ChangeLimits,
    InUse,
    LimitName,
    Limits,
    LimitsView,
)

_USD = 1_000_000  # micro-dollars


class Held(msgspec.Struct, frozen=True):
    """What one limit is, and what is had of it: numbers."""

    user: UserName
    who: str
    what: str
    used: int | float | None  # None: of nobody in particular
    limit: int | float | None  # None: none
    unit: str = ""  # "USD", "s"


class Row(msgspec.Struct, frozen=True):
    what: str
    used: str
    limit: str
    percent: int | None  # None: of nothing

    @property
    def tone(self) -> str:
        """Of the bar: how near the limit is."""
        percent = self.percent or 0
        return "failed" if percent >= 100 else "booting" if percent >= 80 else "ready"


class Holder(msgspec.Struct, frozen=True):
    """Whose limits and use."""

    user: UserName
    who: str
    rows: tuple[Row, ...]


class Table(msgspec.Struct, frozen=True):
    holders: tuple[Holder, ...]
    notices: tuple[str, ...]


async def view_for(visit: Visit) -> LimitsView:
    return await view_of(visit.desk, visit.known.caller)


def table(view: LimitsView) -> Table:
    """Of the whole workspace, and each of its users."""
    notices = (note for it in view.held if it.user == WHOLE for note in it.notices)
    by: dict[tuple[UserName, str], list[Row]] = {}
    for it in _held(view):
        by.setdefault((it.user, it.who), []).append(_row(it))
    holders = (Holder(user, who, tuple(rows)) for (user, who), rows in by.items())
    return Table(tuple(holders), tuple(notices))


async def limits_file(visit: Visit) -> Response:
    found = _held(await view_for(visit))
    kind = visit.request.path_params["kind"]
    return exports.structs("settings", "limits", kind, {"limits": found})


async def notices(visit: Visit) -> tuple[str, ...]:
    """What this visitor should know now."""
    desk, caller = visit.desk, visit.known.caller
    found = await desk.database.run(limit_rows.held, caller.workspace, caller.user, desk.clock())
    grace_s = desk.settings.budget_grace_s
    return tuple(note for it in found for note in decisions.notices(it, grace_s))


def _whose(view: LimitsView, user: str) -> str:
    if user == WHOLE:
        return f"workspace {view.workspace}"
    return "each user" if user == EACH else user


def _held(view: LimitsView) -> list[Held]:
    """Of the workspace, and each of its users."""
    return [
        one
        for it in view.held
        for one in _of_one(it.user, _whose(view, it.user), it.limits, it.in_use)
    ]


def _of_one(user: UserName, who: str, limits: Limits, use: InUse) -> Iterator[Held]:
    """What is neither limited nor in use is not told."""
    own = user != EACH
    for what, used, most in (
        ("clusters at once", use.clusters, limits.clusters),
        ("workers at once", use.workers, limits.workers),
        ("vCPUs at once", use.vcpus, limits.vcpus),
        ("GPUs at once", use.gpus, limits.gpus),
    ):
        if most is not None or used:
            yield Held(user, who, what, used if own else None, most)
    for what, uusd, most in (
        ("price an hour", use.price_uusd_per_hour, limits.price_uusd_per_hour),
        ("this month", use.month_uusd, limits.budget_uusd),
    ):
        if most is not None or uusd:
            limit = None if most is None else most / _USD
            yield Held(user, who, what, uusd / _USD if own else None, limit, "USD")
    if use.unpriced_vms:
        yield Held(user, who, "VMs without a known price", use.unpriced_vms, None)
    if limits.lifetime_s is not None:
        yield Held(user, who, "lifetime of a cluster", None, limits.lifetime_s, "s")


def _row(it: Held) -> Row:
    percent = round(100 * it.used / it.limit) if it.used is not None and it.limit else None
    used = "" if it.used is None else _told(it.used, it.unit)
    limit = "no limit" if it.limit is None else _told(it.limit, it.unit)
    return Row(it.what, used, limit, percent)


def _told(number: int | float, unit: str) -> str:
    if unit == "USD":
        return usd(round(number * _USD))
    return span(number) if unit == "s" else str(number)


# -- changing them --------------------------------------------------------------------------------

# A field's unit: how many of the wire's it has.
_UNITS = {LimitName.PRICE: _USD, LimitName.BUDGET: _USD, LimitName.LIFETIME: 3600}
_LABELS = {
    LimitName.CLUSTERS: "Clusters at once",
    LimitName.WORKERS: "Workers at once",
    LimitName.VCPUS: "vCPUs at once",
    LimitName.GPUS: "GPUs at once",
    LimitName.PRICE: "Dollars an hour, all VMs",
    LimitName.BUDGET: "Dollars a month (UTC)",
    LimitName.LIFETIME: "Hours of one cluster",
}


class Field(msgspec.Struct, frozen=True):
    name: LimitName
    label: str
    value: str  # empty: no limit
    whole: bool  # takes whole numbers only


class Form(msgspec.Struct, frozen=True):
    user: UserName
    whose: str
    fields: tuple[Field, ...]


def form(view: LimitsView, user: UserName) -> Form:
    """With the limits that hold for a user, the workspace or each user now."""
    now = _own(view, user)
    fields = tuple(_field(it, getattr(now, FIELDS[it])) for it in LimitName)
    return Form(user, _whose(view, user), fields)


def _own(view: LimitsView, user: str) -> Limits:
    return next((it.limits for it in view.held if it.user == user), Limits())


def _field(name: LimitName, value: float | None) -> Field:
    shown = "" if value is None else f"{value / _UNITS.get(name, 1):.15g}"
    return Field(name, _LABELS[name], shown, name not in _UNITS)


async def change(visit: Visit) -> Response:
    """What stands in the form holds from now on; an empty field is no limit."""
    fields, caller = await checked_form(visit), visit.known.caller
    gate.check_scope(caller, "admin")
    user = UserName(fields.get("of", "").strip())
    before = _own(await view_for(visit), user)
    given = {it: fields.get(it, "").strip() for it in LimitName}
    values = read(given)
    cleared = tuple(it for it in LimitName if not given[it] and _had(before, it))
    if values != before:
        body = ChangeLimits(values, cleared, user, fields.get("why", "").strip())
        await change_limits(visit.desk, Incoming(caller, {}, None, body))
    return redirect("/settings#limits")


def _had(limits: Limits, name: LimitName) -> bool:
    return getattr(limits, FIELDS[name]) is not None


def read(given: Mapping[LimitName, str]) -> Limits:
    """InvalidRequest for what is no number, or none that a limit can be."""
    values = {FIELDS[it]: _number(it, text) for it, text in given.items() if text}
    try:
        return msgspec.convert(values, Limits)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"This cannot be a limit: {error}.", hint="Leave a field empty for no limit."
        ) from error


def _number(name: LimitName, text: str) -> int | float:
    unit = _UNITS.get(name)
    try:
        number = float(text)
        if not math.isfinite(number) or (unit is None and not number.is_integer()):
            raise ValueError(text)
    except ValueError as error:
        wanted = "a whole number" if unit is None else "a number"
        raise InvalidRequest(
            f"{_LABELS[name]}: {text!r} is not {wanted}.", hint="Leave it empty for no limit."
        ) from error
    whole = round(number * (unit or 1))
    return float(whole) if name is LimitName.LIFETIME else whole

"""Limits and budgets in a browser: what may be had, what is in use, what to know of it now; and a
form that changes them, for administrators.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec
from starlette.responses import Response

from shoal.core.limits import span, usd
from shoal.errors import InvalidRequest
from shoal.server import gate
from shoal.server.desk import Incoming
from shoal.server.handlers.limits import change_limits, view_of
from shoal.server.pages.forms import checked_form
from shoal.server.pages.frame import Visit, redirect
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


class Row(msgspec.Struct, frozen=True):
    user: UserName
    who: str
    what: str
    used: str
    limit: str
    percent: int | None  # None: of nothing


class Table(msgspec.Struct, frozen=True):
    rows: tuple[Row, ...]
    notices: tuple[str, ...]


async def table(visit: Visit) -> Table:
    """Of the whole workspace, and each of its users."""
    view = await view_of(visit.desk, visit.known.caller)
    rows = [
        row
        for it in view.held
        for row in _rows(it.user, _whose(view, it.user), it.limits, it.in_use)
    ]
    return Table(tuple(rows), _notices(view, ""))


async def notices(visit: Visit) -> tuple[str, ...]:
    """What this visitor should know now."""
    view = await view_of(visit.desk, visit.known.caller)
    return _notices(view, visit.known.caller.user)


def _notices(view: LimitsView, user: str) -> tuple[str, ...]:
    return tuple(note for it in view.held if it.user in (WHOLE, user) for note in it.notices)


def _whose(view: LimitsView, user: str) -> str:
    if user == WHOLE:
        return f"workspace {view.workspace}"
    return "each user" if user == EACH else user


def _rows(user: UserName, who: str, limits: Limits, use: InUse) -> Iterator[Row]:
    own = user != EACH
    for what, used, most, is_money in (
        ("clusters at once", use.clusters, limits.clusters, False),
        ("workers at once", use.workers, limits.workers, False),
        ("vCPUs at once", use.vcpus, limits.vcpus, False),
        ("GPUs at once", use.gpus, limits.gpus, False),
        ("price an hour", use.price_uusd_per_hour, limits.price_uusd_per_hour, True),
        ("this month", use.month_uusd, limits.budget_uusd, True),
    ):
        if most is None and not used:
            continue
        yield Row(
            user,
            who,
            what,
            "" if not own else usd(used) if is_money else str(used),
            "no limit" if most is None else usd(most) if is_money else str(most),
            round(100 * used / most) if own and most else None,
        )
    if use.unpriced_vms:
        yield Row(user, who, "VMs without a known price", str(use.unpriced_vms), "", None)
    if limits.lifetime_s is not None:
        yield Row(user, who, "lifetime of a cluster", "", span(limits.lifetime_s), None)


# -- changing them --------------------------------------------------------------------------------

# A field's unit: how many of the wire's it has.
_UNITS = {LimitName.PRICE: 1_000_000, LimitName.BUDGET: 1_000_000, LimitName.LIFETIME: 3600}
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


async def form(visit: Visit, user: UserName) -> Form:
    """With the limits that hold for a user, the workspace or each user now."""
    view = await view_of(visit.desk, visit.known.caller)
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
    before = _own(await view_of(visit.desk, caller), user)
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

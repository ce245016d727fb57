"""Limits and budgets in a browser: what may be had, what is in use, and what to know of it now."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from shoal.core.limits import span, usd
from shoal.server.handlers.limits import view_of
from shoal.server.pages.frame import Visit
from shoal.wire.limits import EACH, WHOLE, InUse, Limits, LimitsView


class Row(msgspec.Struct, frozen=True):
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
        for row in _rows(_whose(view, it.user), it.limits, it.in_use, own=it.user != EACH)
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


def _rows(who: str, limits: Limits, use: InUse, *, own: bool) -> Iterator[Row]:
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
            who,
            what,
            "" if not own else usd(used) if is_money else str(used),
            "no limit" if most is None else usd(most) if is_money else str(most),
            round(100 * used / most) if own and most else None,
        )
    if use.unpriced_vms:
        yield Row(who, "VMs without a known price", str(use.unpriced_vms), "", None)
    if limits.lifetime_s is not None:
        yield Row(who, "lifetime of a cluster", "", span(limits.lifetime_s), None)

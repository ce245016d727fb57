"""Limits and budgets: shown to members with what is in use, changed by administrators."""

from __future__ import annotations

from shoal.core import limits as decisions
from shoal.core.records import Held
from shoal.errors import InvalidRequest
from shoal.server.desk import Desk, Incoming
from shoal.server.gate import Caller
from shoal.store import limits as rows
from shoal.wire.ids import UserName
from shoal.wire.limits import EACH, WHOLE, ChangeLimits, InUse, Limits, LimitsOf, LimitsView


async def limits(desk: Desk, asked: Incoming[None, None]) -> LimitsView:
    return await view_of(desk, asked.caller)


async def change_limits(desk: Desk, asked: Incoming[None, ChangeLimits]) -> LimitsView:
    body, caller = asked.body, asked.caller
    if body.values == Limits() and not body.clear:
        raise InvalidRequest(
            "Nothing is to be changed.", hint="Give a limit, as in: shoal limits set --workers 20"
        )
    if await desk.database.run(rows.change, caller.workspace, body, caller.user, desk.clock()):
        await desk.told.ring()
        await desk.wanted.ring()
    return await view_of(desk, caller)


async def view_of(desk: Desk, caller: Caller) -> LimitsView:
    """The workspace, then what holds for each user, then those who use or may have anything."""
    now, workspace, grace_s = desk.clock(), caller.workspace, desk.settings.budget_grace_s
    found = await desk.database.run(rows.every, workspace, now)

    def one(user: UserName, own: Limits, use: InUse) -> LimitsOf:
        held = Held(workspace, user, own, use)
        return LimitsOf(user, own, use, decisions.notices(held, grace_s))

    whole = one(WHOLE, found.whole, decisions.together(found.use.values()))
    each = (LimitsOf(EACH, found.each, InUse()),) if found.each != Limits() else ()
    users = (one(it, own, found.use.get(it, InUse())) for it, own in found.users.items())
    return LimitsView(workspace, (whole, *each, *users), grace_s)

"""What a cluster would be made of and cost, and whether limits allow it, before anything is."""

from __future__ import annotations

from shoal.clouds.catalog import CLOUDS
from shoal.core import defaults, limits, proposal
from shoal.core.cost import extras_uusd
from shoal.core.records import Cluster
from shoal.errors import LimitExceeded
from shoal.server.desk import Desk, Incoming
from shoal.server.handlers import offers
from shoal.server.handlers.clusters import check_size, offered
from shoal.store import limits as limit_rows
from shoal.wire.ids import ClusterId
from shoal.wire.requests import PreviewCluster
from shoal.wire.views import Preview, PreviewRow


async def preview_cluster(desk: Desk, asked: Incoming[None, PreviewCluster]) -> Preview:
    caller, spec, now = asked.caller, asked.body.spec, desk.clock()
    refused = _too_large(desk, asked)
    known = await offered(desk, spec)
    resolved = defaults.resolve(spec, known)
    cluster = Cluster(ClusterId(""), caller.workspace, caller.user, resolved, 0, now)
    proposed = proposal.of(cluster, known)
    need = proposal.asked(proposed)
    helds = await desk.database.run(limit_rows.standing, caller.workspace, caller.user, now)
    if found := limits.reached(helds, need, desk.settings.budget_grace_s):
        refused = limits.refusal(found)
    price = proposal.price_uusd_per_hour(proposed)
    notices = [it for held in helds for it in limits.notices(held, desk.settings.budget_grace_s)]
    forecast = [f"{it[0].upper()}{it[1:]}." for it in limits.forecast(helds, price)]
    return Preview(
        rows=tuple(map(_row, proposed.parts)),
        price_uusd_per_hour=price,
        most_uusd_per_hour=proposal.price_uusd_per_hour(proposed, grown=True),
        refused=refused.message if refused else "",
        hint=refused.hint if refused else "",
        notices=(*left_out(proposed), *notices, *forecast),
    )


def _too_large(desk: Desk, asked: Incoming[None, PreviewCluster]) -> LimitExceeded | None:
    try:
        check_size(desk, asked.body.spec.workers, 0)
    except LimitExceeded as error:
        return error
    return None


def left_out(proposed: proposal.Proposal) -> list[str]:
    """What the prices of a cloud are without, for want of a price in that region."""
    best = [it.offers[0] for it in proposed.parts if it.offers and it.offers[0].cloud in CLOUDS]
    regions = sorted({it.region for it in best if it.disk_uusd_per_gib_month is None})
    return [f"Prices are without disks: what they cost in {it} is not known." for it in regions]


def _row(part: proposal.Part) -> PreviewRow:
    return PreviewRow(
        role=part.role,
        count=part.count,
        most=part.most,
        offers=tuple(map(offers.view, part.offers)),
        extras_uusd_per_hour=tuple(extras_uusd(it, part.disk_gib, part.role) for it in part.offers),
    )

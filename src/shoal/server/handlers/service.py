"""The server itself, and what the clouds have on offer."""

from __future__ import annotations

import os

from shoal.clouds.provider import LaunchError
from shoal.core.records import Offer
from shoal.errors import CloudError, NotFound
from shoal.server.desk import Desk, Incoming
from shoal.store import clusters as cluster_rows
from shoal.store.database import masked
from shoal.version import VERSION
from shoal.wire.endpoints import Nothing, OfferQuery
from shoal.wire.specs import Cloud
from shoal.wire.views import OfferList, OfferView, ServerInfo


async def server(desk: Desk, asked: Incoming[None, None]) -> ServerInfo:
    unsettled = await desk.database.run(cluster_rows.unsettled, None)
    mine = [it for it in unsettled if it.workspace == asked.caller.workspace and not it.ended_at]
    return ServerInfo(
        version=VERSION,
        installation=desk.installation,
        database=masked(desk.settings.database_url),
        embedded=desk.settings.embedded,
        clusters=len(mine),
        pid=os.getpid(),
        started_at=desk.started_at,
        user=asked.caller.user,
        workspace=asked.caller.workspace,
    )


async def stop_server(desk: Desk, asked: Incoming[None, None]) -> Nothing:
    desk.stopping.set()
    return Nothing()


async def offers(desk: Desk, asked: Incoming[OfferQuery, None]) -> OfferList:
    try:
        provider = desk.providers[Cloud(asked.query.cloud)]
    except (KeyError, ValueError):
        raise NotFound(
            f"No cloud {asked.query.cloud!r} is set up here.",
            hint=f"Set up: {', '.join(desk.providers)}.",
        ) from None
    try:
        found = await provider.offers(asked.query.region)
    except LaunchError as error:
        raise CloudError(error.message, hint=error.hint) from error
    return OfferList(tuple(map(_view, found)))


def _view(offer: Offer) -> OfferView:
    return OfferView(
        cloud=offer.cloud,
        region=offer.region,
        zone=offer.zone,
        machine_type=offer.machine_type,
        vcpu=offer.vcpu,
        memory_bytes=offer.memory_bytes,
        arch=offer.arch,
        spot=offer.spot,
        gpu=offer.gpu,
        gpu_type=offer.gpu_type,
        price_uusd_per_hour=offer.price_uusd_per_hour,
        as_of=offer.as_of,
    )

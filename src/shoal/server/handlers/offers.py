"""What the clouds have on offer: of a cloud that is set up as its provider tells it, of another as
the catalog knows it."""

from __future__ import annotations

from shoal.clouds.catalog import CLOUDS, Catalog
from shoal.clouds.catalog.fetch import refresh
from shoal.clouds.provider import LaunchError
from shoal.core import choose
from shoal.core.defaults import unknown
from shoal.core.records import Offer
from shoal.errors import CloudError, NotFound
from shoal.server.desk import Desk, Incoming
from shoal.store import accounts
from shoal.wire.accounts import cloud_of
from shoal.wire.endpoints import OfferQuery, RegionQuery
from shoal.wire.specs import Cloud, Hardware, Range
from shoal.wire.views import LeftOutView, OfferList, OfferView, Refreshed


async def offers(desk: Desk, asked: Incoming[OfferQuery, None]) -> OfferList:
    query = asked.query
    cloud = _cloud(desk, query.cloud)
    catalog = Catalog(desk.settings.state.catalog)
    known = await _known(desk, catalog, cloud, query.region)
    hardware = _hardware(query)
    found = choose.rank(
        [it for it in known if _placed(query, it) and choose.mismatch(hardware, it) is None],
        Hardware(),
    )
    region = query.region or (known[0].region if known else "")
    age = catalog.age(cloud, region)
    return OfferList(
        tuple(map(view, sorted(found, key=_price))),
        region,
        _left_out(query, hardware, known, found) if query.why else (),
        types_source=age.source if age else "",
        types_as_of=age.as_of.isoformat() if age else "",
    )


async def refresh_offers(desk: Desk, asked: Incoming[RegionQuery, None]) -> Refreshed:
    name = asked.path["cloud"]
    known = await desk.database.run(accounts.every)
    account = next((it for cloud, it in known.items() if cloud == name), None)
    if account is None:
        raise NotFound(f"No account of {name!r} is set up here.", hint="Set it up: shoal setup")
    region = asked.query.region or account.region
    if region not in Catalog().regions(cloud_of(account)):
        raise unknown("region", region, Catalog().regions(cloud_of(account)))
    found = await refresh(account, region, desk.settings.state.catalog, desk.clock().date())
    prices = sum(len(it.uusd_per_hour) for it in found.prices)
    return Refreshed(name, region, len(found.types), prices)


def _cloud(desk: Desk, name: str) -> Cloud:
    names = [*desk.providers, *CLOUDS]
    if name not in names:
        raise NotFound(
            f"No cloud {name!r} is set up here.",
            hint=f"There are: {', '.join(sorted(set(names)))}.",
        )
    return Cloud(name)


async def _known(
    desk: Desk, catalog: Catalog, cloud: Cloud, region: str | None
) -> tuple[Offer, ...]:
    regions = catalog.regions(cloud)
    if region is not None and cloud in CLOUDS and region not in regions:
        raise unknown("region", region, regions)
    provider = desk.providers.get(cloud)
    if provider is None:
        return catalog.offers(cloud, region or catalog.home(cloud))
    try:
        return tuple(await provider.offers(region))
    except LaunchError as error:
        raise CloudError(error.message, hint=error.hint) from error


def _hardware(query: OfferQuery) -> choose.Wanted:
    return choose.Wanted(
        cpu=_range(query.cpu, query.cpu_most),
        memory_bytes=_range(query.memory_bytes, query.memory_bytes_most),
        gpu=query.gpu,
        gpu_type=query.gpu_type,
        arm=query.arm,
    )


def _range(least: int | None, most: int | None) -> Range | None:
    if least is None and most is None:
        return None
    return Range(least or 1, most or least or 1)


def _placed(query: OfferQuery, it: Offer) -> bool:
    return query.zone in (None, it.zone) and query.spot in (None, it.spot)


def _price(it: Offer) -> tuple[bool, int]:
    return it.price_uusd_per_hour is None, it.price_uusd_per_hour or 0


def _left_out(
    query: OfferQuery, wanted: choose.Wanted, known: tuple[Offer, ...], found: list[Offer]
) -> tuple[LeftOutView, ...]:
    taken = {it.machine_type for it in found}
    reasons = {
        it.machine_type: choose.mismatch(wanted, it) or "is not offered there as asked for"
        for it in known
        if it.machine_type not in taken
    }
    return tuple(LeftOutView(name, why) for name, why in sorted(reasons.items()))


def view(offer: Offer) -> OfferView:
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
        source=offer.source,
        family=offer.family,
        burstable=offer.burstable,
        current=offer.current,
        scratch_gib=offer.disk_gib,
    )

"""What a cluster is about to be made of: the head of the table that `shoal offers` shows.

Shown before the first VM exists. It is the server's answer for the hardware it settled on; types
that were named by the user are their own choice, and are not looked up.
"""

from __future__ import annotations

from shoal.client.api import Api
from shoal.errors import ShoalError
from shoal.wire import endpoints
from shoal.wire.specs import Cloud, ClusterSpec, SpotPolicy
from shoal.wire.views import OfferList, OfferView

_SHOWN = 3
_FREE = (Cloud.LOCAL, Cloud.SIM)


async def head(api: Api, spec: ClusterSpec) -> tuple[str, ...]:
    """The cheapest few, in words. Empty where there is nothing to tell; a cluster that can be had
    does not fail for want of it."""
    if spec.cloud in _FREE or spec.worker.vm_types:
        return ()
    try:
        found: OfferList = await api.call(endpoints.OFFERS, query=_query(spec))
    except ShoalError:
        return ()
    return tuple(_words(it) for it in found.offers[:_SHOWN])


def _query(spec: ClusterSpec) -> endpoints.OfferQuery:
    cpu, memory = spec.worker.cpu, spec.worker.memory_bytes
    return endpoints.OfferQuery(
        cloud=spec.cloud.value,
        region=spec.region,
        zone=spec.zone,
        cpu=cpu.least if cpu else None,
        cpu_most=cpu.most if cpu else None,
        memory_bytes=memory.least if memory else None,
        memory_bytes_most=memory.most if memory else None,
        gpu=spec.worker.gpu,
        gpu_type=spec.worker.gpu_type,
        arm=spec.worker.arm,
        spot=spec.spot_policy is not SpotPolicy.ON_DEMAND,
    )


def _words(it: OfferView) -> str:
    price = it.price_uusd_per_hour
    told = "price not known" if price is None else f"${price / 1e6:.4f} an hour"
    return f"{it.machine_type} in {it.zone}{', spot' if it.spot else ''}: {told}"

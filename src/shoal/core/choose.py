"""From what is asked to the frozen alternatives of a batch: which offers fit, best first, where.

Best is: the order of preference where types were named, else the cheapest, known prices before
unknown ones, then the smaller machine. Spot before on-demand where the policy says so. Marked pools
are left out; what was left out is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from shoal.core.records import Cluster, Offer, PoolMark
from shoal.wire.specs import ClusterSpec, Hardware, Role, SpotPolicy

_MAX_ALTERNATIVES = 12


class Choice(msgspec.Struct, frozen=True):
    """`offers` is empty when nothing can be asked for now; `marks` are what stands in the way."""

    offers: tuple[Offer, ...]
    marks: tuple[PoolMark, ...] = ()


def choose(
    cluster: Cluster,
    role: Role,
    offers: Iterable[Offer],
    marks: Sequence[PoolMark],
    *,
    zone: str | None,
) -> Choice:
    """Alternatives for one batch of this role: one zone, unless zones may be crossed."""
    fit = [it for it in fitting(cluster.spec, role, offers) if zone in (None, it.zone)]
    standing: list[PoolMark] = []
    free: list[Offer] = []
    for it in fit:
        blocking = next((mark for mark in marks if covers(mark, it)), None)
        if blocking is None:
            free.append(it)
        elif blocking not in standing:
            standing.append(blocking)
    ranked = rank(_first_policy(cluster.spec, role, free), _hardware(cluster.spec, role))
    if ranked and not (cluster.spec.allow_cross_zone and role is Role.WORKER):
        ranked = [it for it in ranked if it.zone == ranked[0].zone]
    return Choice(tuple(ranked[:_MAX_ALTERNATIVES]), tuple(standing))


def best_zone(cluster: Cluster, offers: Iterable[Offer], marks: Sequence[PoolMark]) -> str | None:
    """Where the workers are best had and the scheduler fits too; None: nowhere now."""
    known = list(offers)
    free = [it for it in known if not any(covers(mark, it) for mark in marks)]
    heads = {it.zone for it in fitting(cluster.spec, Role.SCHEDULER, free)}
    workers = [it for it in fitting(cluster.spec, Role.WORKER, free) if it.zone in heads]
    ranked = rank(_first_policy(cluster.spec, Role.WORKER, workers), cluster.spec.worker)
    return ranked[0].zone if ranked else None


def fitting(spec: ClusterSpec, role: Role, offers: Iterable[Offer]) -> list[Offer]:
    """Offers with the hardware, place and spot policy that were asked for."""
    hardware, spots = _hardware(spec, role), _spots(spec, role)
    return [
        it
        for it in offers
        if it.spot in spots and spec.zone in (None, it.zone) and fits(hardware, it)
    ]


def fits(asked: Hardware, offer: Offer) -> bool:
    if asked.vm_types:
        return offer.machine_type in asked.vm_types
    cpu, memory = asked.cpu, asked.memory_bytes
    return (
        (cpu is None or cpu.least <= offer.vcpu <= cpu.most)
        and (memory is None or memory.least <= offer.memory_bytes <= memory.most)
        and offer.gpu == asked.gpu
        and asked.gpu_type in (None, offer.gpu_type)
        and (offer.cloud in ("local", "sim") or asked.arm == (offer.arch == "aarch64"))
    )


def rank(offers: Iterable[Offer], asked: Hardware) -> list[Offer]:
    def key(it: Offer) -> tuple[object, ...]:
        preference = asked.vm_types.index(it.machine_type) if asked.vm_types else 0
        price = it.price_uusd_per_hour
        return (
            not it.spot,
            preference,
            price is None,
            price or 0,
            it.vcpu,
            it.memory_bytes,
            it.zone,
            it.machine_type,
        )

    return sorted(offers, key=key)


def covers(mark: PoolMark, offer: Offer) -> bool:
    return (
        mark.region in ("*", offer.region)
        and mark.zone in ("*", offer.zone)
        and mark.machine_type in ("*", offer.machine_type)
        and mark.spot in (None, offer.spot)
    )


def _first_policy(spec: ClusterSpec, role: Role, offers: list[Offer]) -> list[Offer]:
    """One batch asks for spot or for on-demand, never for both."""
    spot = [it for it in offers if it.spot]
    return spot or offers


def _spots(spec: ClusterSpec, role: Role) -> tuple[bool, ...]:
    if role is Role.SCHEDULER:
        return (False,)
    match spec.spot_policy:
        case SpotPolicy.ON_DEMAND:
            return (False,)
        case SpotPolicy.SPOT:
            return (True,)
        case SpotPolicy.SPOT_WITH_FALLBACK:
            return (True, False)


def _hardware(spec: ClusterSpec, role: Role) -> Hardware:
    return spec.scheduler if role is Role.SCHEDULER else spec.worker

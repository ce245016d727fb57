"""From what is asked to the frozen alternatives of a batch: which offers fit, best first, where.

Best is: the order of preference where types were named, else known prices before unknown ones (a
bill must not surprise), the current generation before older ones, then the cheapest. Among unknown
prices: no local disks that nobody asked for, the newer family, the smaller machine. Spot before
on-demand where the policy says so. Machines that slow down for want of CPU credits are taken only
by name. Marked pools are left out; what was left out is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from shoal.core.records import Cluster, Offer, PoolMark
from shoal.wire.ids import ClusterId
from shoal.wire.specs import Cloud, ClusterSpec, Hardware, Range, Role, SpotPolicy

_MAX_ALTERNATIVES = 12
_AS_LIKELY = 0.2  # a zone this little less likely than the best is as good, and may be cheaper


def choose(
    cluster: Cluster,
    role: Role,
    offers: Iterable[Offer],
    marks: Sequence[PoolMark],
    *,
    zone: str | None,
) -> tuple[Offer, ...]:
    """Alternatives for one batch of this role, in this zone (None: in any); in one zone together,
    unless workers may be in several. Empty when nothing can be asked for now."""
    free = [
        it
        for it in fitting(cluster.spec, role, offers)
        if zone in (None, it.zone) and is_free(it, marks)
    ]
    ranked = rank(first_policy(free), _hardware(cluster.spec, role))
    if ranked and not (cluster.spec.allow_cross_zone and role is Role.WORKER):
        ranked = [it for it in ranked if it.zone == ranked[0].zone]
    return tuple(_priced(ranked, _hardware(cluster.spec, role))[:_MAX_ALTERNATIVES])


def _priced(ranked: list[Offer], asked: Hardware) -> list[Offer]:
    """A cloud may take any alternative: none of an unknown price stands beside known ones, unless
    it was named. When those with known prices are marked, the others' turn comes."""
    known = [it for it in ranked if it.price_uusd_per_hour is not None]
    return ranked if asked.vm_types else known or ranked


def home_zone(
    cluster: Cluster,
    offers: Iterable[Offer],
    marks: Sequence[PoolMark],
    likely: Mapping[str, float] | None = None,
) -> str | None:
    """Where the scheduler goes: where it fits, and the workers are best had. None: nowhere now.

    Best is where the fewest pools are marked, then where the cloud itself calls it likely (by zone,
    0 to 1), then the best offer. Without `use_best_zone` it is the first zone by name, and no
    other.
    """
    spec, known = cluster.spec, list(offers)
    heads = {it.zone for it in fitting(spec, Role.SCHEDULER, known) if is_free(it, marks)}
    workers = fitting(spec, Role.WORKER, known)
    if not spec.use_best_zone:
        first = min((it.zone for it in workers), default="")
        workers = [it for it in workers if it.zone == first]
    free = [it for it in workers if is_free(it, marks) or not spec.workers.wanted]
    if spec.allow_cross_zone and free:
        best = rank(first_policy(free), spec.worker)
        return min(heads, key=lambda zone: (_place(best, zone), zone), default=None)
    ranked = rank(first_policy([it for it in free if it.zone in heads]), spec.worker)
    marked = Counter(it.zone for it in workers if not is_free(it, marks))
    said = likely or {}
    enough = max(said.values(), default=0.0) - _AS_LIKELY
    if not ranked:
        return None
    return min(ranked, key=lambda it: (marked[it.zone], said.get(it.zone, 0.0) < enough)).zone


def _place(ranked: Sequence[Offer], zone: str) -> int:
    return next((i for i, it in enumerate(ranked) if it.zone == zone), len(ranked))


def is_free(offer: Offer, marks: Sequence[PoolMark]) -> bool:
    return not any(covers(mark, offer) for mark in marks)


def concerning(marks: Sequence[PoolMark], cluster: ClusterId) -> tuple[PoolMark, ...]:
    """Without those on what another cluster asked for: its mistake is nobody else's."""
    return tuple(it for it in marks if it.cluster in ("", cluster))


def paused(marks: Sequence[PoolMark]) -> bool:
    """The cloud asked for fewer calls. Such a mark is on everything, and has no hint, for there is
    nothing to be fixed; a refusal of everything (permission) has one."""
    return any(
        it.region == it.zone == it.machine_type == "*" and it.spot is None and not it.hint
        for it in marks
    )


def fitting(spec: ClusterSpec, role: Role, offers: Iterable[Offer]) -> list[Offer]:
    """Offers with the hardware, place and spot policy that were asked for."""
    hardware, spots = _hardware(spec, role), _spots(spec, role)
    return [
        it
        for it in offers
        if it.spot in spots
        and spec.region in (None, it.region)
        and spec.zone in (None, it.zone)
        and fits(hardware, it)
    ]


def fits(asked: Hardware, offer: Offer) -> bool:
    if asked.vm_types:
        return offer.machine_type in asked.vm_types
    return all(rule.holds(asked, offer) for rule in RULES)


class Wanted(msgspec.Struct, frozen=True):
    """What somebody looks for who asks for no cluster; None: any."""

    cpu: Range | None = None
    memory_bytes: Range | None = None
    gpu: int | None = None
    gpu_type: str | None = None
    arm: bool | None = None


Sizes = Hardware | Wanted


def mismatch(asked: Sizes, offer: Offer) -> str | None:
    """The first reason why an offer's hardware is not what is asked for; None: it is."""
    for rule in RULES:
        if not rule.holds(asked, offer):
            return rule.words(asked, offer)
    return None


class Rule(NamedTuple):
    """`words`: what an offer is that breaks it."""

    name: str
    holds: Callable[[Sizes, Offer], bool]
    words: Callable[[Sizes, Offer], str]


def _cpu(asked: Sizes, it: Offer) -> bool:
    return asked.cpu is None or asked.cpu.least <= it.vcpu <= asked.cpu.most


def _memory(asked: Sizes, it: Offer) -> bool:
    size = asked.memory_bytes
    return size is None or size.least <= it.memory_bytes <= size.most


def _gpu_kind(asked: Sizes, it: Offer) -> bool:
    return asked.gpu_type is None or _plain(asked.gpu_type) == _plain(it.gpu_type)


def _plain(gpu_type: str) -> str:
    """Google's "nvidia-tesla-t4" is everybody else's "T4"."""
    return gpu_type.lower().removeprefix("nvidia-").removeprefix("tesla-")


def _processor(asked: Sizes, it: Offer) -> bool:
    if it.cloud is Cloud.LOCAL:  # one's own machine is what it is; only what was asked counts
        return not asked.arm or it.arch == "aarch64"
    return asked.arm in (None, it.arch == "aarch64")


_GIB = 1 << 30
RULES = (
    Rule(
        "gpu", lambda asked, it: asked.gpu in (None, it.gpu), lambda asked, it: f"has {it.gpu} GPUs"
    ),
    Rule("gpu_type", _gpu_kind, lambda asked, it: f"its GPU is {it.gpu_type}"),
    Rule("arch", _processor, lambda asked, it: f"its processor is {it.arch}"),
    Rule("cpu", _cpu, lambda asked, it: f"has {it.vcpu} vCPU"),
    Rule("memory", _memory, lambda asked, it: f"has {it.memory_bytes / _GIB:g} GiB"),
    Rule(
        "burstable",
        lambda asked, it: not it.burstable,
        lambda asked, it: "is burstable: it slows down once its CPU credits are spent",
    ),
)


class LeftOut(msgspec.Struct, frozen=True):
    """A machine type that is not taken, and why."""

    machine_type: str
    why: str


def why_not(spec: ClusterSpec, role: Role, offers: Iterable[Offer]) -> tuple[LeftOut, ...]:
    """Types that nothing is taken of, by name, each with the reason that came nearest to it."""
    known = sorted(offers, key=lambda it: (it.machine_type, it.zone, it.spot))
    taken = {it.machine_type for it in fitting(spec, role, known)}
    reasons: dict[str, str] = {}
    for it in known:
        if it.machine_type not in taken:
            why, before = _why_not(spec, role, it), reasons.get(it.machine_type)
            reasons[it.machine_type] = why if before is None or why in _NEAREST else before
    return tuple(LeftOut(name, why) for name, why in reasons.items())


_OTHER_POLICY, _OTHER_PLACE = "is not offered as spot", "is offered in other zones only"
_NEAREST = (_OTHER_PLACE, _OTHER_POLICY)


def _why_not(spec: ClusterSpec, role: Role, it: Offer) -> str:
    asked = _hardware(spec, role)
    if asked.vm_types and it.machine_type not in asked.vm_types:
        return "was not named"
    if not asked.vm_types and (why := mismatch(asked, it)) is not None:
        return why
    if it.spot in _spots(spec, role):
        return _OTHER_PLACE
    return _OTHER_POLICY if not it.spot else "is offered as spot only"


def rank(offers: Iterable[Offer], asked: Hardware) -> list[Offer]:
    def key(it: Offer) -> tuple[object, ...]:
        preference = asked.vm_types.index(it.machine_type) if asked.vm_types else 0
        price = it.price_uusd_per_hour
        return (
            not it.spot,
            preference,
            price is None,
            not it.current,
            price or 0,
            price is None and it.disk_gib > 0,
            -_generation(it.family) if price is None else 0,
            it.vcpu,
            it.memory_bytes,
            it.zone,
            it.machine_type,
        )

    return sorted(offers, key=key)


def _generation(family: str) -> int:
    """The number in a family's name: 7 of "m7gd", 2 of "n2", 5 of "Das_v5"."""
    digits = "".join(it if it.isdigit() else " " for it in family).split()
    return int(digits[-1]) if digits else 0


def covers(mark: PoolMark, offer: Offer) -> bool:
    return (
        mark.region in ("*", offer.region)
        and mark.zone in ("*", offer.zone)
        and mark.machine_type in ("*", offer.machine_type)
        and mark.spot in (None, offer.spot)
    )


def first_policy(offers: list[Offer]) -> list[Offer]:
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

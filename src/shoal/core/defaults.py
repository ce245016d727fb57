"""What a spec leaves open is filled in from what the cloud offers; what cannot be is refused.

Errors come before anything exists, and name the nearest that does.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import msgspec

from shoal.core.choose import RULES, fits, fitting
from shoal.core.records import Offer
from shoal.errors import InvalidRequest, NotPossible
from shoal.wire.specs import Cloud, ClusterSpec, Hardware, Range, Role, Workers

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_GIB = 1 << 30
_CPUS_PER_GPU = 4
_BALANCED_GIB_PER_CPU = 4
_SCHEDULER_CPUS = ((500, 16), (100, 8), (0, 4))  # from so many workers on
_SHARE = 0.8  # of a local machine's memory, for all workers together


def resolve(spec: ClusterSpec, offers: Sequence[Offer]) -> ClusterSpec:
    """The spec with every choice of size made, and at least one offer for each role."""
    check_name(spec.name)
    check_workers(spec.workers)
    _check_options(spec)
    _check_place(spec, offers)
    spec = _one_processor(spec, offers)
    filled = msgspec.structs.replace(
        spec,
        region=spec.region or next((it.region for it in offers), None),
        worker=_sized(spec, spec.worker, offers, Role.WORKER),
        scheduler=_sized(spec, spec.scheduler, offers, Role.SCHEDULER),
    )
    for role in Role:
        _check_fits(filled, role, offers)
    _check_one_kind([it for role in Role for it in fitting(filled, role, offers)])
    return filled


def _one_processor(spec: ClusterSpec, offers: Sequence[Offer]) -> ClusterSpec:
    """The scheduler is of its workers' kind: ARM too where they are."""
    kinds = {it.arch for it in offers if it.machine_type in spec.worker.vm_types}
    arm = spec.worker.arm or kinds == {"aarch64"}
    if not arm or spec.scheduler.vm_types:
        return spec
    return msgspec.structs.replace(
        spec, scheduler=msgspec.structs.replace(spec.scheduler, arm=True)
    )


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} cannot be a cluster's name.",
            hint="Lower case letters, digits and hyphens, beginning with a letter; 63 at most.",
        )


def check_workers(workers: Workers) -> None:
    if not 0 <= workers.minimum <= workers.wanted <= workers.maximum:
        raise InvalidRequest(
            f"Not 0 ≤ minimum {workers.minimum} ≤ wanted {workers.wanted} "
            f"≤ maximum {workers.maximum}.",
            hint="Give n_workers as N, [min, max] or [min, start, max].",
        )


def _check_options(spec: ClusterSpec) -> None:
    for hardware in (spec.worker, spec.scheduler):
        if hardware.vm_types and (hardware.cpu or hardware.memory_bytes):
            raise InvalidRequest(
                "Machine types were named, and cpu or memory too.", hint="Give one or the other."
            )
        for size in (hardware.cpu, hardware.memory_bytes):
            if size and not 0 < size.least <= size.most:
                raise InvalidRequest(f"A size cannot be from {size.least} to {size.most}.")
    stop = spec.stop
    for field in stop.__struct_fields__:
        seconds = getattr(stop, field)
        if seconds is not None and not 0 < seconds < 10 * 365 * 86_400:
            raise InvalidRequest(f"{field} cannot be {seconds} seconds.")


def _check_place(spec: ClusterSpec, offers: Sequence[Offer]) -> None:
    regions = sorted({it.region for it in offers})
    if spec.region is not None and spec.region not in regions:
        raise unknown("region", spec.region, regions)
    zones = sorted({it.zone for it in offers if spec.region in (None, it.region)})
    if spec.zone is not None and spec.zone not in zones:
        raise unknown("zone", spec.zone, zones)


def unknown(kind: str, given: str, known: Sequence[str]) -> NotPossible:
    close = difflib.get_close_matches(given, known, 3) or known[:10]
    return NotPossible(f"There is no {kind} {given!r}.", hint=f"There are: {', '.join(close)}.")


def _sized(spec: ClusterSpec, asked: Hardware, offers: Sequence[Offer], role: Role) -> Hardware:
    """Balanced machines by default: 4 vCPU with 4 GiB each; on the local cloud one vCPU a worker,
    and memory such that all workers fit. Memory that was asked for decides alone, and a machine
    with GPUs may be larger."""
    local = spec.cloud is Cloud.LOCAL
    if asked.vm_types or (asked.memory_bytes and not asked.cpu and not local):
        return asked
    if asked.gpu:
        return asked if asked.cpu else _fed(asked, offers)
    cpu = asked.cpu or _default_cpu(asked, offers, _wanted_cpus(spec, role))
    memory = asked.memory_bytes or (
        _local_memory(spec, offers, role) if local else _balanced_memory(cpu)
    )
    return msgspec.structs.replace(asked, cpu=cpu, memory_bytes=memory)


def _fed(asked: Hardware, offers: Sequence[Offer]) -> Hardware:
    """Not so few vCPUs that they would keep its GPUs waiting, where there is a machine with more:
    a cloud that attaches GPUs to any machine has those of one vCPU as the cheapest."""
    least = _CPUS_PER_GPU * asked.gpu
    sizes = [it.vcpu for it in offers if it.vcpu >= least and fits(asked, it)]
    return msgspec.structs.replace(asked, cpu=Range(least, max(sizes))) if sizes else asked


def _wanted_cpus(spec: ClusterSpec, role: Role) -> int:
    """A scheduler's work is one thread's; what grows with the workers is memory and traffic, and
    both come with the larger machine."""
    if spec.cloud is Cloud.LOCAL:
        return 1
    if role is Role.WORKER:
        return 4
    return next(cpus for least, cpus in _SCHEDULER_CPUS if spec.workers.maximum >= least)


def _default_cpu(asked: Hardware, offers: Sequence[Offer], wanted: int) -> Range:
    sizes = {it.vcpu for it in offers if fits(asked, it)}
    best = wanted if wanted in sizes or not sizes else min(sizes, key=lambda n: abs(n - wanted))
    return Range(best, best)


def _balanced_memory(cpu: Range) -> Range:
    each = _BALANCED_GIB_PER_CPU * _GIB
    return Range(int(0.75 * cpu.least * each), int(1.25 * cpu.most * each))


def _local_memory(spec: ClusterSpec, offers: Sequence[Offer], role: Role) -> Range:
    sizes = sorted({it.memory_bytes for it in offers})
    if not sizes:
        return Range(1, 1)
    if role is Role.SCHEDULER:
        return Range(sizes[0], sizes[0])
    cores = max(it.vcpu for it in offers)
    cpus = spec.worker.cpu.most if spec.worker.cpu else 1
    share = _SHARE * sizes[-1] / max(1, spec.workers.maximum, cores // cpus)
    size = max((it for it in sizes if it <= share), default=sizes[0])
    return Range(size, size)


def _check_fits(spec: ClusterSpec, role: Role, offers: Sequence[Offer]) -> None:
    if found := fitting(spec, role, offers):
        _check_one_kind(found)
        return
    asked = spec.scheduler if role is Role.SCHEDULER else spec.worker
    names = sorted({it.machine_type for it in offers})
    if missing := [it for it in asked.vm_types if it not in names]:
        raise unknown("machine type", missing[0], names)
    _check_kind(spec, asked, offers)
    if any(fits(asked, it) for it in offers):
        raise NotPossible(
            f"The {role}'s machine is not offered as {spec.spot_policy} "
            f"in {spec.zone or 'any zone'}.",
            hint="Choose another spot_policy or zone.",
        )
    raise NotPossible(
        f"No machine fits the {role}: {_described(asked)}.",
        hint=f"Nearest are: {_near(asked, offers)}.",
    )


def _check_kind(spec: ClusterSpec, asked: Hardware, offers: Sequence[Offer]) -> None:
    """What no size would help against: a GPU or a processor that is not there."""
    gpus = sorted({it.gpu_type for it in offers if it.gpu})
    if asked.gpu and not gpus:
        raise NotPossible(f"No GPU is known in {_where(spec)}.", hint=_ELSEWHERE)
    if asked.gpu_type and not any(
        rule.holds(asked, it) for rule in RULES if rule.name == "gpu_type" for it in offers
    ):
        raise unknown("GPU", asked.gpu_type, gpus)
    if asked.arm and not any(it.arch == "aarch64" for it in offers):
        if spec.cloud is Cloud.LOCAL:
            raise NotPossible(
                "arm=True with cloud='local': this machine's processor is not ARM.",
                hint="Leave arm out, or choose another cloud.",
            )
        raise NotPossible(f"No ARM machine is known in {_where(spec)}.", hint=_ELSEWHERE)


_ELSEWHERE = "Choose another region, or look again: shoal offers --refresh."


def _where(spec: ClusterSpec) -> str:
    return f"{spec.cloud} {spec.region}" if spec.region else str(spec.cloud)


def _check_one_kind(offers: Sequence[Offer]) -> None:
    """One environment serves all workers: it is built for one kind of processor."""
    kinds = {it.arch: it.machine_type for it in offers}
    if len(kinds) > 1:
        mixed = ", ".join(f"{name} ({arch})" for arch, name in sorted(kinds.items()))
        raise InvalidRequest(
            f"The machine types have different processors: {mixed}.", hint="Name types of one kind."
        )


def _described(asked: Hardware) -> str:
    parts = []
    if asked.cpu:
        parts.append(f"{_range(asked.cpu.least, asked.cpu.most)} vCPU")
    if asked.memory_bytes:
        low, high = asked.memory_bytes.least / _GIB, asked.memory_bytes.most / _GIB
        parts.append(f"{_range(round(low, 1), round(high, 1))} GiB")
    if asked.gpu:
        parts.append(f"{asked.gpu} GPU {asked.gpu_type or ''}".strip())
    if asked.arm:
        parts.append("ARM")
    return ", ".join(parts)


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _near(asked: Hardware, offers: Sequence[Offer]) -> str:
    def distance(it: Offer) -> float:
        sizes = _beside(asked.cpu, it.vcpu) + _beside(asked.memory_bytes, it.memory_bytes)
        return sizes + abs(it.gpu - asked.gpu)

    kind = [rule for rule in RULES if rule.name not in ("cpu", "memory", "gpu")]
    like = [it for it in offers if all(rule.holds(asked, it) for rule in kind)]
    nearest: dict[str, Offer] = {}
    for it in sorted(
        like or offers, key=lambda it: (distance(it), not it.current, it.machine_type)
    ):
        nearest.setdefault(it.machine_type, it)
    return ", ".join(
        f"{name} ({it.vcpu} vCPU, {it.memory_bytes / _GIB:g} GiB"
        + (f", {it.gpu} GPU)" if it.gpu else ")")
        for name, it in list(nearest.items())[:3]
    )


def _beside(asked: Range | None, size: int) -> float:
    """How far a size is from what was asked for, as a part of it."""
    if asked is None:
        return 0.0
    return max(0, asked.least - size, size - asked.most) / asked.least

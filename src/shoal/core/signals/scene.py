"""What a signal is looked for in: samples of one cluster up to now, and what one rule found.

The caller reads as much as `WINDOW` and `HISTORY` say; rules look at less where they say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from shoal.core.cost import total_uusd
from shoal.core.records import Instance
from shoal.wire.ids import InstanceId
from shoal.wire.specs import ClusterSpec, Role
from shoal.wire.telemetry import (
    Computation,
    HostSample,
    PrefixTime,
    SchedulerSample,
    Severity,
    ShuffleEvent,
    SignalKind,
    TaskException,
    TaskGroupSample,
    WorkerEvent,
)
from shoal.wire.views import InstanceState

WINDOW = timedelta(minutes=20)  # of samples
HISTORY = timedelta(hours=1)  # of computations and events
COMPUTATIONS = 20  # the newest
_NAMED = 20  # workers that a signal names at most


class Start(msgspec.Struct, frozen=True):
    """How a worker's VM came up: when each phase began; None: not yet."""

    instance: InstanceId
    asked_at: datetime
    launched_at: datetime | None = None
    preparing_at: datetime | None = None
    starting_at: datetime | None = None
    ready_at: datetime | None = None


class Scene(msgspec.Struct, frozen=True):
    now: datetime
    spec: ClusterSpec
    instances: tuple[Instance, ...] = ()  # all that were ever asked for
    samples: tuple[SchedulerSample, ...] = ()  # oldest first
    hosts: Mapping[InstanceId, tuple[HostSample, ...]] = {}  # oldest first, workers' only
    computations: tuple[Computation, ...] = ()
    groups: tuple[TaskGroupSample, ...] = ()
    times: tuple[PrefixTime, ...] = ()
    exceptions: tuple[TaskException, ...] = ()
    worker_events: tuple[WorkerEvent, ...] = ()
    shuffles: tuple[ShuffleEvent, ...] = ()
    starts: tuple[Start, ...] = ()

    def last(self, seconds: float) -> tuple[SchedulerSample, ...]:
        """Samples of so long, if there are some from the whole of it; else none: what has not
        been watched for long enough is not known."""
        begun = self.now - timedelta(seconds=seconds)
        if not self.samples or self.samples[0].at > begun:
            return ()
        return tuple(it for it in self.samples if it.at >= begun)

    def hosts_of_last(self, seconds: float) -> dict[InstanceId, tuple[HostSample, ...]]:
        begun = self.now - timedelta(seconds=seconds)
        recent = {
            name: tuple(it for it in samples if it.at >= begun)
            for name, samples in self.hosts.items()
        }
        return {name: samples for name, samples in recent.items() if samples}


class Finding(msgspec.Struct, frozen=True):
    """What a rule found; the rule itself says the rest."""

    evidence: str
    since: datetime
    until: datetime
    advice: str
    workers: tuple[str, ...] = ()
    numbers: dict[str, float] = {}
    saves: str = ""  # an amount; else why none can be told
    saves_uusd_per_hour: int | None = None


class Rule(msgspec.Struct, frozen=True):
    kind: SignalKind
    severity: Severity
    title: str
    threshold: str  # in words, for the reference
    argument: str  # what the advice is to change
    look: Callable[[Scene], Finding | None]


def named(workers: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(workers)[:_NAMED])


# -- money --------------------------------------------------------------------------------------


def workers_price(scene: Scene) -> int | None:
    """Of all workers' VMs, micro-dollars an hour; None where one is not known."""
    running = [
        it
        for it in scene.instances
        if it.role is Role.WORKER and it.state is InstanceState.LAUNCHED
    ]
    return total_uusd(it.price_uusd_per_hour for it in running) if running else None


def dollars(uusd: float | None) -> str:
    """`$1.50 an hour`; nothing where it is not known, or nothing."""
    return f"${uusd / 1e6:.2f} an hour" if uusd else ""


# -- words ----------------------------------------------------------------------------------------


def size(count: float) -> str:
    """Bytes: `1.5 GiB`."""
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1024:.0f} KiB"


def span(seconds: float) -> str:
    """`40 s`, `7 min`, `1.5 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def count(number: int, one: str, many: str = "") -> str:
    """`1 worker`, `1,000 workers`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def have(number: int) -> str:
    return "has" if number == 1 else "have"


def share(part: float) -> str:
    return f"{part * 100:.0f} %"

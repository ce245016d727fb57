"""What the sim cloud does to whoever uses it: every way in which a real one is slow, short or deaf.

Values only. Fates are consumed call by call and VM by VM, and begin again at their end, so that a
run is the same each time: nothing here is random.
"""

from __future__ import annotations

import enum
import json
from pathlib import Path

import msgspec

from shoal.core.records import Timing


class Fate(enum.StrEnum):
    """What becomes of one call."""

    FINE = "fine"
    LOST_REQUEST = "lost request"  # it never arrives; who asked hears nothing
    LATE_REQUEST = "late request"  # it arrives `late_s` later; who asked hears nothing
    LOST_ANSWER = "lost answer"  # it is done; who asked hears nothing
    DUPLICATED = "duplicated"  # it is done and answered, and delivered once more `late_s` later
    THROTTLED = "throttled"  # not done: too many calls


class VmFate(msgspec.Struct, frozen=True):
    """What becomes of one VM. Seconds count from its creation."""

    boots: bool = True  # False: its agent never speaks
    slower_s: float = 0.0  # boots so much later
    failure: str = ""  # its agent reports this instead of becoming ready
    dies_after_s: float | None = None  # it ends by itself
    preempted_after_s: float | None = None  # the cloud takes it, `notice_s` after telling it


class Step(msgspec.Struct, frozen=True):
    """From `after_s` on (since the account's beginning) `count` VMs can be had there."""

    after_s: float
    count: int


class Pool(msgspec.Struct, frozen=True):
    """One machine type in one zone, as spot or not. What can be had changes over time; when it
    falls below what runs, spot VMs are preempted, the newest first."""

    region: str
    zone: str
    machine_type: str
    spot: bool = False
    vcpu: int = 4
    memory_bytes: int = 16 << 30
    arch: str = "x86_64"
    price_uusd_per_hour: int | None = 200_000
    capacity: tuple[Step, ...] = (Step(0.0, 1_000_000),)

    @property
    def words(self) -> str:
        return f"{self.machine_type}{' spot' if self.spot else ''} in {self.zone}"


class Knobs(msgspec.Struct, frozen=True):
    named: bool = True  # False, as on EC2: VMs have the cloud's ids, and the batch's tag alone
    address_after_s: float = 0.0  # a VM has an address so long after its creation
    appear_lag_s: float = 0.0  # listings lack what was created so recently
    vanish_lag_s: float = 0.0  # listings still show what ended so recently
    ending_s: float = 0.0  # asked to end, a VM is listed as ending for so long
    boot_s: float = 20.0  # until its agent speaks
    prepare_s: float = 10.0  # until it is ready
    drain_s: float = 10.0  # from being asked to leave until it is drained
    notice_s: float = 0.0  # before a preemption
    late_s: float = 120.0
    throttled_s: float = 10.0
    quota: int | None = None  # VMs at one time, in the account
    token_memory_s: float = 86_400.0  # then a repeated request is a new one
    launches: tuple[Fate, ...] = (Fate.FINE,)
    terminates: tuple[Fate, ...] = (Fate.FINE,)
    lists: tuple[Fate, ...] = (Fate.FINE,)
    vms: tuple[VmFate, ...] = (VmFate(),)
    timing: Timing = Timing()


def steps_of_trace(path: Path, *, most: int = 1) -> tuple[Step, ...]:
    """Capacity from a recording: {"metadata": {"gap_seconds": …}, "data": [how many, …]}.

    `most` multiplies a recording of one instance. Only the changes become steps.
    """
    recorded = json.loads(path.read_bytes())
    gap_s = float(recorded["metadata"]["gap_seconds"])
    steps: list[Step] = []
    for place, count in enumerate(recorded["data"]):
        if not steps or steps[-1].count != count * most:
            steps.append(Step(place * gap_s, count * most))
    return tuple(steps)

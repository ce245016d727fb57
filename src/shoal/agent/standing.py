"""Where this VM stands: the one report about it that is always ready to be sent.

Rings when something changed that someone waits for; samples of use only go along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from shoal.agent.bell import Bell
from shoal.agent.clock import Clock
from shoal.wire.ids import InstanceId
from shoal.wire.reports import PhaseTime, VmReport
from shoal.wire.specs import Role
from shoal.wire.views import Stage


class Use(msgspec.Struct, frozen=True):
    """A sample of the Dask process."""

    cpu_percent: float = 0.0  # of one CPU
    memory_bytes: int = 0
    memory_limit_bytes: int = 0


class Standing:
    def __init__(self, instance: InstanceId, role: Role, clock: Clock) -> None:
        self.changed = Bell()
        self._clock = clock
        self.report = VmReport(
            instance, role, Stage.PREPARING, clock.now(), "the agent has started"
        )

    def stage(self, stage: Stage, detail: str = "", *, progress: float = 0.0) -> None:
        """A new stage, or news within it."""
        report = self.report
        since = report.since if stage is report.stage else self._clock.now()
        self._replace(
            msgspec.structs.replace(
                report,
                stage=stage,
                since=since,
                detail=detail,
                progress=math.floor(progress * 100) / 100,
                failure="",
                dask_address=report.dask_address if stage in _SERVING else "",
            )
        )

    def ready(self, dask_address: str, environment: str) -> None:
        """Of `environment` from now on."""
        self.stage(Stage.READY)
        moves_to = self.report.moves_to if self.report.moves_to != environment else ""
        self._replace(
            msgspec.structs.replace(
                self.report, dask_address=dask_address, environment=environment, moves_to=moves_to
            )
        )

    def draining(self) -> None:
        """Asked to leave, while something runs here; what never ran is drained at once."""
        if self.report.stage is Stage.READY:
            self.stage(Stage.DRAINING, "its data is moving to other workers")

    def failed(self, failure: str, broken: str = "") -> None:
        """`broken`: the environment that no VM can run."""
        self.stage(Stage.FAILED, failure.partition("\n")[0])
        self._replace(
            msgspec.structs.replace(self.report, failure=failure, broken=broken, moves_to="")
        )

    def goes_on(self, failure: str, broken: str = "") -> None:
        """What was asked for cannot be; what runs here goes on."""
        self._replace(
            msgspec.structs.replace(self.report, failure=failure, broken=broken, moves_to="")
        )

    def moves(self, environment: str) -> None:
        """As soon as the scheduler has let go of what runs here."""
        self._replace(msgspec.structs.replace(self.report, moves_to=environment))

    def made(self, seconds: Mapping[str, float]) -> None:
        """The environment is there; how long each phase of making it took."""
        phases = tuple(PhaseTime(name, round(it, 3)) for name, it in seconds.items())
        self._replace(msgspec.structs.replace(self.report, made_in=phases))

    def noticed(self, notice: str) -> None:
        """Whatever it does: the cloud takes the VM back."""
        self._replace(msgspec.structs.replace(self.report, notice=notice, detail=notice))

    def warned(self, warning: str) -> None:
        """The cloud may take the VM back; it goes on."""
        self._replace(msgspec.structs.replace(self.report, warning=warning))

    def restarted(self) -> None:
        self._replace(msgspec.structs.replace(self.report, restarts=self.report.restarts + 1))

    def sample(self, use: Use) -> None:
        self.report = msgspec.structs.replace(
            self.report,
            cpu_percent=use.cpu_percent,
            memory_bytes=use.memory_bytes,
            memory_limit_bytes=use.memory_limit_bytes,
        )

    def _replace(self, report: VmReport) -> None:
        if report != self.report:
            self.report = report
            self.changed.ring()


_SERVING = (Stage.READY, Stage.DRAINING)


def without_samples(report: VmReport) -> VmReport:
    """What remains when two reports are compared for news."""
    return msgspec.structs.replace(
        report, cpu_percent=0.0, memory_bytes=0, memory_limit_bytes=0, heard_at=None
    )

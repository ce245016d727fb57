"""Tends what runs on this VM: makes it be what is asked, and says where that stands.

One loop, woken by every change: next_step.py says what is missing, this does it. It is the Nanny of
the Dask process (docs/decisions/0004): it watches the memory, restarts what ended, and tells a kill
by the kernel from a crash.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, assert_never

import msgspec

from shoal.agent import memory, preparation, processes, restarts
from shoal.agent.asked import Asked
from shoal.agent.bell import Bell
from shoal.agent.clock import Clock
from shoal.agent.dask_child import CANNOT_BE, DaskChild, child_environment
from shoal.agent.log_lines import LogLines
from shoal.agent.messages import (
    Command,
    Configure,
    Failed,
    Listening,
    Retired,
    Serving,
    Stop,
    Telemetry,
    Told,
)
from shoal.agent.next_step import (
    Child,
    GiveWay,
    Prepare,
    Rest,
    Seen,
    SendConfiguration,
    Spawn,
    StopChild,
    Wait,
    next_step,
)
from shoal.agent.parting import Kills, Parting, Watched, parting
from shoal.agent.standing import Standing
from shoal.agent.vm import Vm
from shoal.errors import EnvironmentFailed
from shoal.software.realise import PythonSource, RealiseProgress
from shoal.wire.environments import Manifest
from shoal.wire.ids import EnvironmentId
from shoal.wire.specs import Role
from shoal.wire.views import Stage

_log = logging.getLogger(__name__)

STOP_WITHIN_S = 0.35
_CLOSE_WITHIN_S = (
    5.0  # for a new environment: running tasks are not awaited, spilled data is dropped
)
_MEMORY_LOOK_S = 0.2
_SAMPLE_EVERY = 10  # looks
_AGAIN_S = 30.0  # after an environment could not be made for a reason that may pass


class Events(Protocol):
    """What whoever has a Tender learns from it."""

    def serving(self, told: Serving) -> None:
        """The scheduler's state."""

    def recorded(self, told: Telemetry) -> None:
        """What the scheduler's plugin has found."""

    def ended(self, parting: Parting, *, clean: bool) -> None:
        """The Dask process has ended, and nobody here asked it to."""

    def restarting(self, why: str) -> None:
        """The Dask process was ended here, and another one follows."""


class Tender:
    def __init__(
        self,
        vm: Vm,
        role: Role,
        standing: Standing,
        lines: LogLines,
        *,
        supply: Callable[[Manifest], Awaitable[None]],
        events: Events,
        clock: Clock,
    ) -> None:
        self.wake = Bell()
        self._vm = vm
        self._role = role
        self._standing = standing
        self._lines = lines
        self._supply = supply
        self._events = events
        self._clock = clock
        self._asked: Asked | None = None
        self._seen = Seen(now_s=clock.monotonic_s())
        self._python: Path | None = None
        self._child: DaskChild | None = None
        self._exits: tuple[restarts.Exit, ...] = ()
        self._unmade = ("", "")  # why the broken one is, and its id if no VM can run it
        self._group = memory.own_group()
        self._stopping = False

    def ask(self, asked: Asked) -> None:
        if asked != self._asked:
            before, self._asked = self._asked, asked
            if before is not None and before.manifest.id != asked.manifest.id:
                self._see(gave_up=False)
                self._standing.goes_on("")
            self.wake.ring()

    def tell_child(self, command: Command) -> None:
        if self._child is not None:
            self._child.tell(command)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                count = self.wake.count
                self._see(now_s=self._clock.monotonic_s())
                step = next_step(self._asked, self._seen)
                match step:
                    case Wait(until_s):
                        timeout_s = None if until_s is None else until_s - self._seen.now_s
                        await self.wake.after(count, timeout_s)
                    case Prepare():
                        self._see(preparing=True)
                        group.create_task(self._prepare(self._wish()))
                    case Spawn():
                        self._spawn(group)
                    case SendConfiguration(configuration):
                        self._configure(configuration)
                    case StopChild(why):
                        group.create_task(self._stop_child(why))
                        self._see_child(stopping=True)
                    case GiveWay():
                        self._standing.moves(self._wish().manifest.id)
                        await self.wake.after(count)
                    case Rest():
                        self._standing.stage(Stage.DRAINED)
                        await self.wake.after(count)
                    case _:
                        assert_never(step)

    def halt(self) -> None:
        """Start nothing any more."""
        self._stopping = True
        self.wake.ring()

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """End the child for good."""
        self.halt()
        self._standing.stage(Stage.STOPPING)
        if self._child is not None:
            self._child.tell(Stop())
            if not await self._child.gone(within_s):
                self._child.kill("it did not stop in time")

    # -- preparing ---------------------------------------------------------------------------

    async def _prepare(self, asked: Asked) -> None:
        manifest = asked.manifest
        loop = asyncio.get_running_loop()

        def report(told: RealiseProgress) -> None:
            loop.call_soon_threadsafe(self._report_preparation, told)

        def say(text: str) -> None:
            loop.call_soon_threadsafe(self._lines.add, "environment", text)

        report(RealiseProgress("waiting", "for the environment's wheels"))
        try:
            supplied: dict[str, float] = {}
            if preparation.missing_wheels(manifest, self._vm):
                began_s = loop.time()
                say(f"{manifest.id}: its wheels are fetched from the client")
                await self._supply(manifest)
                supplied["wheels"] = loop.time() - began_s
            made = await preparation.prepare(
                manifest,
                self._vm,
                PythonSource(asked.python_hint, asked.python_mirror),
                report,
                say,
            )
        except EnvironmentFailed as error:
            self._broken(manifest.id, str(error), lasting=not error.passing)
            return
        except OSError as error:
            why = f"The environment could not be written: {error}"
            self._broken(manifest.id, why, lasting=False)
            return
        self._python = made.python
        took = supplied | dict(made.seconds)
        if took:
            say(f"{manifest.id} is made: {', '.join(f'{k} {v:.1f} s' for k, v in took.items())}")
        self._standing.made(took)
        if self._seen.broken == manifest.id:
            self._standing.goes_on("")
        self._see(preparing=False, prepared=manifest.id, broken=None, gave_up=False)
        if told := preparation.other_python(manifest, self._vm):
            _log.warning("environment %s: %s", manifest.id, told)
        self.wake.ring()
        await asyncio.to_thread(preparation.forget_old, self._vm)

    def _report_preparation(self, told: RealiseProgress) -> None:
        if self._seen.child is None and self._seen.preparing:
            detail = f"{told.phase} {told.detail}"
            self._standing.stage(Stage.PREPARING, detail, progress=told.fraction)

    def _broken(self, environment: EnvironmentId, why: str, *, lasting: bool) -> None:
        """`lasting`: another VM would fare no better."""
        told = f"ERROR: {environment} is not made: {why.splitlines()[0]}"
        # After what the installer said last, which is on its way.
        asyncio.get_running_loop().call_soon(self._lines.add, "environment", told)
        _log.error("environment %s: %s", environment, why)
        again_at_s = math.inf if lasting else self._clock.monotonic_s() + _AGAIN_S
        self._see(preparing=False, broken=environment, again_at_s=again_at_s)
        self._unmade = (why, environment if lasting else "")
        if self._seen.prepared is None:
            self._standing.failed(*self._unmade)
        elif self._wish().manifest.id == environment:
            self._standing.goes_on(*self._unmade)
        self.wake.ring()

    # -- the child ---------------------------------------------------------------------------

    def _spawn(self, group: asyncio.TaskGroup) -> None:
        asked = self._wish()
        environment_id = self._seen.prepared
        assert self._python is not None
        assert environment_id is not None
        prefix = self._vm.prefix(environment_id)
        environment = child_environment(os.environ, asked.environ, prefix, self._vm.dask)
        try:
            child = DaskChild.start(self._role, self._python, environment, self._vm.dask)
        except OSError as error:
            self._give_up(f"It cannot be started: {error}")
            return
        self._child = child
        self._see(child=Child(environment_id))
        told = preparation.other_python(asked.manifest, self._vm)
        self._standing.stage(
            Stage.STARTING, f"importing Dask; {told}" if told else "importing Dask"
        )
        group.create_task(self._attend(child))

    def _configure(self, configuration: Configure) -> None:
        assert self._child is not None
        self._child.tell(configuration)
        self._see_child(configured=configuration)
        self._standing.stage(Stage.STARTING, "connecting")

    async def _attend(self, child: DaskChild) -> None:
        kills, watched = Kills(self._group), Watched()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(child, watched))
            status = await child.attend(
                lambda told: self._heard(told, watched),
                lambda text: self._lines.add(self._process_name(), text),
            )
            watching.cancel()
        self._child = None
        if not self._seen.preparing:
            processes.end_orphans({child.pid})
        if self._stopping:
            return
        self._take_leave(status, parting(status, child.killed_for, watched, kills), watched)
        self.wake.ring()

    def _take_leave(self, status: int, parting: Parting, watched: Watched) -> None:
        """What the end of a child means for the next one."""
        why = parting.why
        asked_to = self._seen.child is not None and self._seen.child.stopping
        retired = self._asked is not None and self._asked.retire
        self._see(child=None)
        if watched.retired and self._standing.report.moves_to and not retired:
            self._see(restart_at_s=0.0)
            self._events.restarting("another environment is asked for")
            return
        if asked_to and not retired:
            self._events.restarting(why)
        if asked_to or retired:
            return
        if status == CANNOT_BE and watched.failure:
            self._give_up(why, broken=self._wish().manifest.id)
            return
        clean = status == 0
        _log.log(logging.INFO if clean else logging.ERROR, "%s: %s", self._process_name(), why)
        self._events.ended(parting, clean=clean)
        if self._stopping:
            return
        exit_ = restarts.Exit(self._clock.monotonic_s(), clean, why, watched.retired)
        self._exits = restarts.still_counting((*self._exits, exit_))
        verdict = restarts.verdict(self._exits)
        match verdict:
            case restarts.Restart(at_s):
                self._see(restart_at_s=at_s)
                self._standing.restarted()
                self._standing.stage(Stage.STARTING, f"again: {why}")
            case restarts.GiveUp(last):
                self._give_up(last)
            case _:
                assert_never(verdict)

    def _give_up(self, why: str, broken: str = "") -> None:
        _log.error("%s: given up: %s", self._process_name(), why)
        self._see(gave_up=True)
        self._standing.failed(why, broken)

    def _ready(self, address: str) -> None:
        child = self._seen.child
        self._standing.ready(address, child.environment if child else "")
        if self._asked is not None and self._seen.broken == self._asked.manifest.id:
            self._standing.goes_on(*self._unmade)

    def _heard(self, told: Told, watched: Watched) -> None:
        match told:
            case Listening(address, memory_limit_bytes, terminate_fraction):
                watched.limit_bytes = memory_limit_bytes
                watched.terminate_bytes = int(memory_limit_bytes * terminate_fraction)
                self._ready(address)
            case Serving(address=address):
                if self._standing.report.dask_address != address:
                    self._ready(address)
                self._events.serving(told)
            case Telemetry():
                self._events.recorded(told)
            case Retired():
                watched.retired = True
            case Failed(text):
                watched.failure = text
            case _:
                assert_never(told)

    async def _watch(self, child: DaskChild, watched: Watched) -> None:
        """Dask's Nanny ends a worker at 95 % of its limit, before the kernel or swapping does."""
        sampler = processes.Sampler(child.pid)
        look = 0
        while True:
            used = watched.last_bytes = sampler.memory_bytes()
            if watched.terminate_bytes and used > watched.terminate_bytes:
                limit = memory.words(watched.limit_bytes)
                child.kill(f"it used {memory.words(used)} of memory, and {limit} is the limit")
                return
            if look % _SAMPLE_EVERY == 0:
                self._standing.sample(sampler.use(watched.limit_bytes))
            look += 1
            await asyncio.sleep(_MEMORY_LOOK_S)

    async def _stop_child(self, why: str) -> None:
        child = self._child
        if child is None:
            return
        _log.info("%s is stopped: %s", self._process_name(), why)
        child.tell(Stop())
        if not await child.gone(_CLOSE_WITHIN_S):
            child.kill("it did not stop in time")

    # -- small things ------------------------------------------------------------------------

    def _wish(self) -> Asked:
        assert self._asked is not None
        return self._asked

    def _process_name(self) -> str:
        return self._role.value

    def _see(self, **changes: object) -> None:
        self._seen = msgspec.structs.replace(self._seen, **changes)

    def _see_child(self, **changes: object) -> None:
        assert self._seen.child is not None
        self._see(child=msgspec.structs.replace(self._seen.child, **changes))

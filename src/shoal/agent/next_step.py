"""What a VM's agent does next, given what is asked and what is: pure, and the same at any moment.

Asked anew after every change: a start, a restart after a crash, a change of mind are one path.

    prepare the environment -> spawn -> configure -> … -> (ended) -> spawn again, or give up
"""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

from shoal.agent.asked import Asked
from shoal.agent.messages import Configure
from shoal.wire.ids import EnvironmentId


class Child(msgspec.Struct, frozen=True):
    """The Dask process that runs now."""

    environment: EnvironmentId
    configured: Configure | None = None
    stopping: bool = False


class Seen(msgspec.Struct, frozen=True):
    """What is, here and now."""

    now_s: float
    preparing: bool = False
    prepared: EnvironmentId | None = None  # the newest environment that is ready here
    broken: EnvironmentId | None = None  # could not be made: not tried again before `again_at_s`
    again_at_s: float = math.inf
    child: Child | None = None
    restart_at_s: float = 0.0  # not before
    gave_up: bool = False


class Wait(msgspec.Struct, frozen=True):
    until_s: float | None = None


class Prepare(msgspec.Struct, frozen=True):
    pass


class Spawn(msgspec.Struct, frozen=True):
    pass


class SendConfiguration(msgspec.Struct, frozen=True):
    configuration: Configure


class StopChild(msgspec.Struct, frozen=True):
    why: str


class GiveWay(msgspec.Struct, frozen=True):
    """To a process of another environment, once the scheduler has retired this one: its results
    go to other workers first."""


class Rest(msgspec.Struct, frozen=True):
    """Retired and empty: nothing is left to run here."""


Step: TypeAlias = Wait | Prepare | Spawn | SendConfiguration | StopChild | GiveWay | Rest


def next_step(asked: Asked | None, seen: Seen) -> Step:
    if asked is None:
        return Wait()
    step = _next_step(asked, seen)
    later = _goes_on(asked, seen) and seen.now_s < seen.again_at_s < math.inf
    return Wait(seen.again_at_s) if later and step == Wait() else step


def _next_step(asked: Asked, seen: Seen) -> Step:
    if asked.retire and (seen.child is None or seen.child.configured is None):
        return Rest() if seen.child is None else _stop(seen.child, "retired before it began")
    if _needs_environment(asked, seen):
        once = seen.prepared is None and seen.broken == asked.manifest.id  # the VM is replaced
        return Wait() if seen.preparing or once else Prepare()
    if seen.child is None:
        return _start(seen)
    return _keep(asked, seen, seen.child)


def _needs_environment(asked: Asked, seen: Seen) -> bool:
    if asked.retire or (seen.child is not None and not asked.follows_manifest):
        return False
    if _goes_on(asked, seen):
        return seen.now_s >= seen.again_at_s
    return seen.prepared != asked.manifest.id


def _goes_on(asked: Asked, seen: Seen) -> bool:
    """What was here before, in place of what could not be made."""
    return seen.prepared is not None and seen.broken == asked.manifest.id


def _start(seen: Seen) -> Step:
    if seen.gave_up:
        return Wait()
    return Spawn() if seen.now_s >= seen.restart_at_s else Wait(seen.restart_at_s)


def _keep(asked: Asked, seen: Seen, child: Child) -> Step:
    if child.stopping:
        return Wait()
    follows = asked.follows_manifest and not asked.retire and seen.broken != asked.manifest.id
    if follows and child.environment != asked.manifest.id:
        if child.configured is None:  # it never began
            return _stop(child, "another environment is asked for")
        return GiveWay()
    if asked.configuration is None:
        return Wait()
    if child.configured is None:
        return SendConfiguration(asked.configuration)
    if asked.follows_manifest and not asked.retire and child.configured != asked.configuration:
        return _stop(child, "the scheduler is elsewhere now")
    return Wait()


def _stop(child: Child, why: str) -> Step:
    return Wait() if child.stopping else StopChild(why)

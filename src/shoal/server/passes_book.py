"""What the server does by itself, and how that goes: told on the machinery's page and in metrics.

In memory only: it is about this process. That a loop stands still shows by its last pass's age.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from shoal.server.clock import now

_KEPT = 60  # durations of a loop


class Loop(msgspec.Struct):
    name: str
    every_s: float
    passes: int = 0
    failures: int = 0
    began_at: datetime | None = None  # the last pass
    ended_at: datetime | None = None
    problem: str = ""  # of the last pass; empty: it went well
    problem_at: datetime | None = None  # the last time there was one
    last_problem: str = ""
    durations_s: deque[float] = msgspec.field(default_factory=lambda: deque(maxlen=_KEPT))

    @property
    def slowest_s(self) -> float:
        return max(self.durations_s, default=0.0)


class PassesBook:
    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self._clock = clock
        self.loops: dict[str, Loop] = {}

    @contextmanager
    def passing(self, name: str, every_s: float) -> Iterator[Loop]:
        """One pass; whoever catches its error notes it with `failed`."""
        loop = self.loops.setdefault(name, Loop(name, every_s))
        loop.began_at, loop.problem = self._clock(), ""
        loop.passes += 1
        try:
            yield loop
        finally:
            loop.ended_at = self._clock()
            loop.durations_s.append(max(0.0, (loop.ended_at - loop.began_at).total_seconds()))

    def failed(self, name: str, problem: str) -> None:
        loop = self.loops[name]
        loop.failures += 1
        loop.problem = loop.last_problem = problem
        loop.problem_at = self._clock()

"""Computations that one line of code asked for, told as one: a loop fills no page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from shoal.wire.telemetry import Computation


class Line(msgspec.Struct, frozen=True):
    """Newest first; at least one."""

    each: tuple[Computation, ...]

    @property
    def newest(self) -> Computation:
        return self.each[0]

    @property
    def tasks(self) -> int:
        return sum(it.tasks for it in self.each)

    @property
    def done(self) -> int:
        return sum(it.done for it in self.each)

    @property
    def erred(self) -> int:
        return sum(it.erred for it in self.each)

    @property
    def processing(self) -> int:
        return sum(it.processing for it in self.each if it.stopped_at is None)

    @property
    def compute_s(self) -> float:
        return sum(it.compute_s for it in self.each)

    @property
    def run(self) -> int:
        return sum(it.stopped_at is None for it in self.each)

    def took_s(self, now: datetime) -> float:
        """Of all of them together."""
        return sum(((it.stopped_at or now) - it.started_at).total_seconds() for it in self.each)


def lines(computations: Iterable[Computation], names: Mapping[str, str]) -> list[Line]:
    """In the order of the newest of each. What has no code goes by its tasks' names."""
    found: dict[tuple[str, int, str], list[Computation]] = {}
    for it in computations:
        found.setdefault(_asked_at(it, names), []).append(it)
    return [Line(tuple(some)) for some in found.values()]


def _asked_at(it: Computation, names: Mapping[str, str]) -> tuple[str, int, str]:
    """Cells of notebooks have the same name when they are run again with other code."""
    if it.code:
        frame = it.code[-1]
        return frame.file, frame.line, frame.code
    return "", 0, names.get(it.id) or it.id

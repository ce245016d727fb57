"""Events that say the same of many VMs, told as one: "12 × instance.stage ready", to be opened.

A cluster's VMs boot side by side, so that what one agent says stands between what the others say:
events belong together that are the same but for their VM and close to each other in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from shoal.wire.events import Event, EventKind

LEAST = 3  # so few are told one by one
APART = timedelta(seconds=60)  # longer, and it is another run


class Run(msgspec.Struct, frozen=True):
    """Newest first; at least one."""

    events: tuple[Event, ...]

    @property
    def newest(self) -> Event:
        return self.events[0]

    @property
    def began_at(self) -> datetime:
        """VMs' clocks differ, and reports come as they can: the last told is not the first."""
        return min(it.at for it in self.events)

    @property
    def lasted_s(self) -> float:
        return (max(it.at for it in self.events) - self.began_at).total_seconds()

    @property
    def id(self) -> str:
        """Stays when newer ones come to it."""
        return f"run-{self.events[-1].seq}"


def runs(events: Sequence[Event]) -> list[Run]:
    """Of events newest first: runs by their newest, and the others where they stood."""
    open_: dict[tuple[EventKind, str, str, str], list[Event]] = {}
    found: list[list[Event]] = []
    for it in events:
        key = (it.kind, it.after, it.actor, it.why)
        run = open_.get(key)
        if run is not None and it.instance and abs(run[-1].at - it.at) <= APART:
            run.append(it)
            continue
        open_[key] = [it]
        found.append(open_[key])
    told = [Run(tuple(run)) for run in found if len(run) >= LEAST]
    told += [Run((it,)) for run in found if len(run) < LEAST for it in run]
    return sorted(told, key=lambda it: it.newest.seq, reverse=True)

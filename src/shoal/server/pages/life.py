"""A VM's life as a drawing: spans on the line from the cluster's creation to now.

What the cloud did is in the VM's row, what its agent said in events; what comes before the first
word of the agent is booting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from shoal.store.events import Staged
from shoal.wire.views import InstanceView, Stage

WIDTH = 1000  # units of the drawing
_SEEN = 4

# A stage's name on the page; they are the drawing's classes and its legend too.
NAMES: Mapping[Stage, str] = {
    Stage.BOOTING: "booting",
    Stage.PREPARING: "installing",
    Stage.STARTING: "starting",
    Stage.READY: "ready",
    Stage.DRAINING: "draining",
    Stage.DRAINED: "draining",
    Stage.STOPPING: "ending",
    Stage.FAILED: "failed",
}
LEGEND = {
    "asked": "asked for",
    "booting": "booting",
    "installing": "installing",
    "starting": "starting Dask",
    "ready": "ready",
    "draining": "draining",
    "ending": "ending",
    "failed": "failed",
}


class Span(msgspec.Struct, frozen=True):
    what: str
    x: int
    width: int


class Phase(msgspec.Struct, frozen=True):
    what: str
    began_at: datetime
    seconds: float


class Life(msgspec.Struct, frozen=True):
    spans: tuple[Span, ...]
    words: str  # the same for who cannot see it
    phases: tuple[Phase, ...]


class Tick(msgspec.Struct, frozen=True):
    x: int
    words: str  # after the cluster's creation


_STEPS_S = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 7 * 86400)


def ticks(start: datetime, end: datetime) -> tuple[Tick, ...]:
    """Four to eight of them, at round times."""
    total_s = max((end - start).total_seconds(), 1.0)
    step_s = next((it for it in _STEPS_S if total_s / it <= 8), _STEPS_S[-1])
    count = min(int(total_s / step_s), 60)
    return tuple(
        Tick(round(WIDTH * n * step_s / total_s), duration(n * step_s) if n else "0")
        for n in range(count + 1)
    )


def life(it: InstanceView, staged: Sequence[Staged], start: datetime, end: datetime) -> Life:
    """`end`: of the drawing, and of a life that goes on."""
    phases = _phases(it, staged, end)
    total_s = max((end - start).total_seconds(), 1.0)
    spans = [
        _span(one.what, (one.began_at - start).total_seconds() / total_s, one.seconds / total_s)
        for one in phases
        if one.began_at < end
    ]
    told = [f"{LEGEND[one.what]} {duration(one.seconds)}" for one in phases]
    return Life(tuple(spans), ", ".join(told), phases)


def _phases(it: InstanceView, staged: Sequence[Staged], end: datetime) -> tuple[Phase, ...]:
    marks = _marks(it, staged)
    last = it.gone_at or end
    found: list[Phase] = []
    for number, (what, at) in enumerate(marks):
        until = marks[number + 1][1] if number + 1 < len(marks) else last
        seconds = max((until - at).total_seconds(), 0.0)
        if found and found[-1].what == what:
            found[-1] = Phase(what, found[-1].began_at, found[-1].seconds + seconds)
        else:
            found.append(Phase(what, at, seconds))
    return tuple(found)


def _marks(it: InstanceView, staged: Sequence[Staged]) -> list[tuple[str, datetime]]:
    """In their order; an agent's clock may differ from ours, so none goes back in time."""
    marks: list[tuple[str, datetime]] = []
    if it.created_at is not None:
        marks.append(("asked", it.created_at))
    if it.launched_at is not None:
        marks.append(("booting", it.launched_at))
    told = [(NAMES[one.stage], one.at) for one in staged]
    if it.released_at is not None:
        told = [one for one in told if one[1] < it.released_at]
        told.append(("ending", it.released_at))
    for what, at in told:
        marks.append((what, max(at, marks[-1][1]) if marks else at))
    return marks


def _span(what: str, x: float, width: float) -> Span:
    """Shares of the whole, as units; the shortest can still be seen."""
    left = min(max(round(x * WIDTH), 0), WIDTH - _SEEN)
    return Span(what, left, min(max(round(width * WIDTH), _SEEN), WIDTH - left))


def duration(seconds: float) -> str:
    """The two greatest units: "2 h 5 min"."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    first = next(at for at, (size, _) in enumerate(units) if whole >= size)
    parts = []
    for size, unit in units[first : first + 2]:
        number, whole = divmod(whole, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts)

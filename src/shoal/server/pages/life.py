"""A VM's life as a drawing: spans on the line from the cluster's creation to now."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shoal.wire.views import InstanceState, InstanceView, Stage

WIDTH = 1000  # units of the drawing
_SEEN = 4


class Span(msgspec.Struct, frozen=True):
    what: str
    x: int
    width: int


class Life(msgspec.Struct, frozen=True):
    spans: tuple[Span, ...]
    words: str  # the same for who cannot see it


def life(it: InstanceView, start: datetime, end: datetime) -> Life:
    """Asked for, coming up, ready; what a VM did before its present stage is not told apart."""
    marks = _marks(it)
    last = it.gone_at or (it.since if it.state is InstanceState.GONE else end)
    ends = [*(at for _, at in marks[1:]), last]
    total_s = max((end - start).total_seconds(), 1.0)
    spans, told = [], []
    for (what, at), until in zip(marks, ends, strict=True):
        seconds = max((until - at).total_seconds(), 0.0)
        spans.append(_span(what, (at - start).total_seconds() / total_s, seconds / total_s))
        told.append(f"{what} {seconds:.0f} s")
    return Life(tuple(spans), ", ".join(told))


def _marks(it: InstanceView) -> list[tuple[str, datetime]]:
    marks: list[tuple[str, datetime]] = []
    if it.created_at is not None:
        marks.append(("asked for", it.created_at))
    if it.launched_at is not None:
        had = it.state is InstanceState.LAUNCHED
        marks.append(("coming up" if had else "had", it.launched_at))
        if had and it.stage is Stage.READY:
            marks.append(("ready", it.since))
    return marks


def _span(what: str, x: float, width: float) -> Span:
    """Shares of the whole, as units; the shortest can still be seen."""
    left = min(max(round(x * WIDTH), 0), WIDTH - _SEEN)
    return Span(what.replace(" ", "-"), left, min(max(round(width * WIDTH), _SEEN), WIDTH - left))

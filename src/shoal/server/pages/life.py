"""A VM's life as a drawing: spans on the line from the cluster's creation to now."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shoal.wire.views import InstanceState, InstanceView, Stage

WIDTH = 1000  # units of the drawing


class Span(msgspec.Struct, frozen=True):
    what: str
    x: int
    width: int


class Life(msgspec.Struct, frozen=True):
    spans: tuple[Span, ...]
    words: str  # the same for who cannot see it


def life(it: InstanceView, start: datetime, end: datetime) -> Life:
    """Asked for, coming up, ready; what a VM did before its present stage is not told apart."""
    marks: list[tuple[str, datetime]] = []
    if it.created_at is not None:
        marks.append(("asked for", it.created_at))
    if it.launched_at is not None:
        settled = it.state is not InstanceState.LAUNCHED or it.stage is Stage.READY
        marks.append(
            ("had" if it.state is not InstanceState.LAUNCHED else "coming up", it.launched_at)
        )
        if settled and it.state is InstanceState.LAUNCHED:
            marks.append(("ready", it.since))
    last = it.gone_at or (it.since if it.state is InstanceState.GONE else end)
    ends = [at for _, at in marks[1:]] + [last]
    total = max((end - start).total_seconds(), 1.0)
    spans = tuple(
        _span(what, at, until, start, total)
        for (what, at), until in zip(marks, ends, strict=True)
        if until >= at
    )
    told = (
        f"{what} {(until - at).total_seconds():.0f} s"
        for (what, at), until in zip(marks, ends, strict=True)
    )
    return Life(spans, ", ".join(told))


def _span(what: str, at: datetime, until: datetime, start: datetime, total_s: float) -> Span:
    x = round((at - start).total_seconds() / total_s * WIDTH)
    width = round((until - at).total_seconds() / total_s * WIDTH)
    return Span(what.replace(" ", "-"), min(max(x, 0), WIDTH - 4), max(width, 4))

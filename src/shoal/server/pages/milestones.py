"""From being asked for to its end: the steps of a cluster, when each was reached and how long it
took."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shoal.core.records import HeadObservation
from shoal.core.summary import Summary
from shoal.wire.specs import Cloud, Role
from shoal.wire.views import ClusterStatus, ClusterView


class Milestone(msgspec.Struct, frozen=True):
    name: str
    at: datetime | None  # None: not reached (yet)
    seconds: float | None = None  # since the one before
    mark: str = ""  # "done", "now", "failed", ""


def milestones(view: ClusterView, vms: Summary, head: HeadObservation | None) -> list[Milestone]:
    if view.spec.cloud is Cloud.WATCHED:
        return _told(_of_watched(view, head), view)
    reached = [
        ("asked for", view.created_at),
        ("scheduler’s VM launched", vms.first_launched_at(Role.SCHEDULER)),
        ("scheduler accepts clients", head.ready_at if head else None),
        ("first worker’s VM launched", vms.first_launched_at(Role.WORKER)),
    ]
    if view.ended_at is not None:
        reached = [(name, at) for name, at in reached if at is not None]
        reached.append(("ended", view.ended_at))
    else:
        reached.append(("all workers ready", None))
    return _told(sorted(reached, key=_order), view)


def _of_watched(
    view: ClusterView, head: HeadObservation | None
) -> list[tuple[str, datetime | None]]:
    """Who started it knows how; here is when its session was heard."""
    reached = [("made known", view.created_at), ("first report", head.ready_at if head else None)]
    if view.ended_at is None:
        return reached
    return [*(it for it in reached if it[1] is not None), ("no longer watched", view.ended_at)]


def _order(step: tuple[str, datetime | None]) -> tuple[bool, float]:
    return step[1] is None, step[1].timestamp() if step[1] else 0.0


def _told(reached: Sequence[tuple[str, datetime | None]], view: ClusterView) -> list[Milestone]:
    found: list[Milestone] = []
    before: datetime | None = None
    waiting = True
    for name, at in reached:
        if at is None:
            ready = name == "all workers ready" and view.status is ClusterStatus.READY
            mark = "done" if ready else "now" if waiting else ""
            waiting = waiting and ready
            found.append(Milestone(name, None, None, mark))
            continue
        failed = name == "ended" and view.status is ClusterStatus.FAILED
        seconds = (at - before).total_seconds() if before else None
        found.append(Milestone(name, at, seconds, "failed" if failed else "done"))
        before = at
    return found

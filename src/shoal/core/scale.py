"""How many workers an adaptive cluster wants, and who goes when there are too many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from shoal.core.records import Cluster, HeadObservation, Instance, Observation
from shoal.wire.ids import InstanceId
from shoal.wire.views import InstanceState, Stage

DOWN_AFTER = timedelta(seconds=30)  # of targets, the highest within so long is believed


def adapted(cluster: Cluster, head: HeadObservation | None, now: datetime) -> int | None:
    """The number to want now; None: as it is. Up at once, down only when it lasts: to the highest
    that Dask wanted lately, so that a target that flickers moves nothing."""
    workers = cluster.spec.workers
    if not workers.adaptive or head is None or head.adaptive_target is None:
        return None
    held, since, asked = head.adaptive_peak, head.adaptive_since, head.adaptive_target
    if held is not None and since is not None and now - since < DOWN_AFTER:
        asked = max(asked, held)
    target = min(max(asked, workers.minimum), workers.maximum)
    return None if target == workers.wanted else target


def peak(
    before: HeadObservation | None, target: int | None, now: datetime
) -> tuple[int | None, datetime | None]:
    """The highest target of late, and until when it held. The one before this held until now."""
    if before is None or target is None or before.adaptive_target is None:
        return target, now
    held, since = before.adaptive_peak, before.adaptive_since
    lately = since is not None and now - since < DOWN_AFTER
    if held is None or not lately or before.adaptive_target >= held:
        held, since = before.adaptive_target, now
    return (target, now) if target >= held else (held, since)


class Leaving(msgspec.Struct, frozen=True):
    release: tuple[InstanceId, ...]  # nothing is lost: they never computed
    retire: tuple[InstanceId, ...]  # they hold data or run tasks: drain them first


def leaving(
    workers: Sequence[Instance],
    count: int,
    observations: Mapping[InstanceId, Observation],
    head: HeadObservation | None,
) -> Leaving:
    """`count` of these: the not-ready ones first, newest first, then as Dask finds cheapest."""
    cheap = {name: place for place, name in enumerate(head.closable if head else ())}

    def key(it: Instance) -> tuple[object, ...]:
        ready = _ready(it, observations)
        newest = -it.created_at.timestamp()
        return (
            ready,
            it.state is InstanceState.LAUNCHED,
            cheap.get(it.id, len(cheap)) if ready else 0,
            newest,
            it.id,
        )

    chosen = sorted(workers, key=key)[:count]
    return Leaving(
        release=tuple(it.id for it in chosen if not _ready(it, observations)),
        retire=tuple(it.id for it in chosen if _ready(it, observations)),
    )


def _ready(it: Instance, observations: Mapping[InstanceId, Observation]) -> bool:
    seen = observations.get(it.id)
    return seen is not None and seen.stage in (Stage.READY, Stage.DRAINING)

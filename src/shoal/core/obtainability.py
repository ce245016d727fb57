"""Where spot VMs are likely to be had: what a cloud is asked before a cluster's zone is chosen, and
what its word is worth.

Only of spot: clouds say it of nothing else. A word is a hint. Without one, or against a pool that
was just seen empty, the choice is what it would have been.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shoal.core.choose import first_policy, fitting, is_free, rank
from shoal.core.records import Cluster, Offer, PoolMark
from shoal.wire.specs import Role

MAX_TYPES = 10  # as many as EC2 scores together


class Question(msgspec.Struct, frozen=True):
    """How likely are `count` spot VMs of any of these types, all in one of these zones?"""

    region: str
    zones: tuple[str, ...]
    machine_types: tuple[str, ...]
    count: int


def question(
    cluster: Cluster, offers: Sequence[Offer], marks: Sequence[PoolMark]
) -> Question | None:
    """None: there is nothing to ask, because there is no choice of a zone, or not of spot."""
    spec = cluster.spec
    wanted = spec.workers.wanted
    if not wanted or spec.zone or not spec.use_best_zone or spec.allow_cross_zone:
        return None
    heads = {it.zone for it in fitting(spec, Role.SCHEDULER, offers) if is_free(it, marks)}
    free = [
        it
        for it in fitting(spec, Role.WORKER, offers)
        if it.spot and it.zone in heads and is_free(it, marks)
    ]
    ranked = rank(first_policy(free), spec.worker)
    ranked = [it for it in ranked if it.region == ranked[0].region]
    zones = tuple(sorted({it.zone for it in ranked}))
    if len(zones) < 2:
        return None
    types = tuple(dict.fromkeys(it.machine_type for it in ranked))[:MAX_TYPES]
    return Question(ranked[0].region, zones, types, wanted)

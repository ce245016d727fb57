"""A cluster is put on record if the limits it comes under leave room for all that it asks for.

Reading what is in use and writing the cluster is one transaction, and writers take turns: two that
ask at once do not pass a limit of clusters or workers together. What VMs take is looked at again
when they are intended (instances.py).
"""

from __future__ import annotations

from sqlalchemy import Connection

from shoal.core.limits import Ask, reached, refusal
from shoal.core.records import Cluster
from shoal.store import clusters, limits
from shoal.wire.events import Event


def create(tx: Connection, cluster: Cluster, asked: Ask, grace_s: float, event: Event) -> None:
    """LimitExceeded with what was asked, what is in use and the limit; Conflict as in clusters."""
    helds = limits.standing(tx, cluster.workspace, cluster.owner, event.at)
    if found := reached(helds, asked, grace_s):
        raise refusal(found)
    clusters.create(tx, cluster, event)

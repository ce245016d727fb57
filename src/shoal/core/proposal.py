"""What a cluster would be made of, before anything of it exists: as the launch chooses it.

The same functions pick zone and machines here and in the plan, from the same offers; only marks on
pools, which pass, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shoal.core import limits
from shoal.core.batches import disk_gib
from shoal.core.choose import choose, home_zone
from shoal.core.limits import Ask
from shoal.core.records import Cluster, Offer
from shoal.wire.specs import Hardware, Role


class Part(msgspec.Struct, frozen=True):
    """One role's VMs."""

    role: Role
    count: int  # that it begins with
    most: int  # that it may grow to
    offers: tuple[Offer, ...]  # best first; empty: nothing fits
    disk_gib: int


class Proposal(msgspec.Struct, frozen=True):
    parts: tuple[Part, ...]
    lifetime_s: float | None


def of(cluster: Cluster, offers: Sequence[Offer]) -> Proposal:
    """Its specification is resolved (defaults.py); nothing of it needs to be on record."""
    spec, zone = cluster.spec, home_zone(cluster, offers, ())
    workers = spec.workers
    elsewhere = None if spec.allow_cross_zone else zone
    return Proposal(
        (
            _part(
                Role.SCHEDULER,
                (1, 1),
                choose(cluster, Role.SCHEDULER, offers, (), zone=zone),
                spec.scheduler,
            ),
            _part(
                Role.WORKER,
                (workers.wanted, workers.maximum),
                choose(cluster, Role.WORKER, offers, (), zone=elsewhere),
                spec.worker,
            ),
        ),
        spec.stop.cluster_timeout_s,
    )


def _part(
    role: Role, counts: tuple[int, int], chosen: tuple[Offer, ...], hardware: Hardware
) -> Part:
    return Part(role, *counts, chosen, disk_gib(hardware, chosen) if chosen else 0)


def asked(proposal: Proposal) -> Ask:
    """At most, whichever alternatives the cloud picks."""
    whole = Ask(clusters=1, lifetime_s=proposal.lifetime_s)
    for it in proposal.parts:
        if it.offers and it.count:
            whole += limits.ask(it.role, limits.unit(it.offers, it.disk_gib, it.role), it.count)
    return whole


def price_uusd_per_hour(proposal: Proposal, *, grown: bool = False) -> int | None:
    """Of the best offers; None where one of them has no known price."""
    total = 0
    for it in proposal.parts:
        count = it.most if grown else it.count
        if count:
            each = (
                limits.unit(it.offers[:1], it.disk_gib, it.role).uusd_per_hour
                if it.offers
                else None
            )
            if each is None:
                return None
            total += count * each
    return total

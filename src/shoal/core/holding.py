"""What limits and budgets do to clusters: VMs held back, clusters ended, warnings told.

Decisions of limits.py, put into a plan's actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shoal.core import limits
from shoal.core.actions import Action, End, Hold, Warn
from shoal.core.batches import disk_gib
from shoal.core.cost import price_uusd_per_hour
from shoal.core.records import Cluster, EndKind, Held, Instance, Offer, World
from shoal.wire.ids import ClusterId, UserName, WorkspaceName
from shoal.wire.specs import Role


class Allowed(NamedTuple):
    vms: int  # of the VMs that are wanted
    actions: tuple[Action, ...]  # what is to be put on record about it


def allowed(
    world: World, cluster: Cluster, role: Role, offers: tuple[Offer, ...], count: int
) -> Allowed:
    """How many VMs of these alternatives a cluster may have now."""
    helds = world.held.get(cluster.id, ())
    if not helds:
        return Allowed(count, tuple(unheld(world, cluster)))
    hardware = cluster.spec.scheduler if role is Role.SCHEDULER else cluster.spec.worker
    one = limits.unit(offers, disk_gib(hardware, offers), role)
    fit, reached = limits.room(helds, role, one, count, world.grace_s)
    if reached is None:
        return Allowed(fit, tuple(unheld(world, cluster)))
    if world.holds.get(cluster.id) == reached.short:
        return Allowed(fit, ())
    late = count - fit
    why = f"{late} {'VM has' if late == 1 else 'VMs have'} to wait: {reached.words}"
    return Allowed(fit, (Hold(cluster.id, reached.short, why),))


def unheld(world: World, cluster: Cluster) -> Iterator[Action]:
    """Nothing that it wants is in the way of a limit (any more)."""
    if cluster.id in world.holds:
        why = f"{world.holds[cluster.id]} does not hold it back any more"
        yield Hold(cluster.id, "", why)


def ended(world: World, cluster: Cluster, instances: Sequence[Instance]) -> End | None:
    """A cluster that has lived as long as it may, or whose money is spent."""
    helds = world.held.get(cluster.id, ())
    longest = limits.lifetime(helds)
    if longest is not None and (world.now - cluster.created_at).total_seconds() >= longest.seconds:
        lived = limits.span(longest.seconds)
        why = f"it has lived for {lived}, the limit for {longest.whose}"
        return End(cluster.id, EndKind.LIMIT, why)
    if (why := limits.spent(helds)) and any(price_uusd_per_hour(it) != 0 for it in instances):
        return End(cluster.id, EndKind.LIMIT, why)
    return None


def warnings(world: World) -> Iterator[Action]:
    """Marks of budgets that are passed and were not told."""
    scopes: dict[tuple[WorkspaceName, UserName], Held] = {}
    under: dict[tuple[WorkspaceName, UserName], list[ClusterId]] = {}
    for cluster in world.clusters:
        for it in world.held.get(cluster.id, ()):
            if it.limits.budget_uusd is not None:
                scopes[it.workspace, it.user] = it
                under.setdefault((it.workspace, it.user), []).append(cluster.id)
    for key, held in scopes.items():
        marks = limits.due(held, world.grace_s)
        for mark in marks:
            if mark not in held.told:
                those = tuple(under[key]) if mark == limits.ENDING else ()
                yield Warn(*key, mark, True, those, limits.remark(held, mark))
        back = limits.ENDING in held.told and limits.ENDING not in marks
        if back and not limits.spent([held]):
            why = f"the month's budget for {held.whose}: {limits.lasts(held)}"
            yield Warn(*key, limits.ENDING, False, (), why)

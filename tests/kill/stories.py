"""What users do and what clouds do to them: the stories that the matrix kills everywhere.

Each ends in something that was asked for, and says how many VMs it may take at most: a kill is no
reason for another one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from shoal.clouds.sim_agents import Demand
from shoal.clouds.sim_knobs import Pool, VmFate
from shoal.wire.specs import Workers
from tests.kill.rig import Scene, pools

Do = Callable[[Scene], Awaitable[None]]


class Story(msgspec.Struct, frozen=True):
    name: str
    script: tuple[tuple[float, Do], ...]  # seconds after the beginning
    workers: int | None  # that are there at the end; None: the cluster has ended
    most_vms: int  # that may ever be made for one cluster
    replicas: int = 1
    sites: int = 1
    had: tuple[Pool, ...] = ()
    demand: tuple[Demand, ...] = ()
    vms: tuple[VmFate, ...] = (VmFate(),)
    lasts_s: float = 0.0  # at least

    @property
    def until_s(self) -> float:
        last = max((it.after_s for it in self.demand), default=0.0) + 80.0 * bool(self.demand)
        return max(last, self.script[-1][0], self.lasts_s)


def create(count: int, *, spot: bool = False, site: int = 0, most: int | None = None) -> Do:
    workers = Workers(count, count, count) if most is None else Workers(1, count, most)
    return lambda scene: scene.create(workers, spot=spot, site=site)


def scale(wanted: int) -> Do:
    return lambda scene: scene.scale(wanted)


def delete(site: int = 0) -> Do:
    return lambda scene: scene.delete(site=site)


def room(count: int) -> Do:
    async def do(scene: Scene) -> None:
        for key in list(scene.account.pools):
            if not key[2]:
                scene.account.set_capacity(key, count, scene.clock())

    return do


def preempt(count: int = 1) -> Do:
    """The newest spot VMs."""

    async def do(scene: Scene) -> None:
        spot = [it for it in scene.account.alive(scene.clock()) if it.pool.spot]
        for vm in spot[-count:]:
            scene.account.preempt(vm, scene.clock())

    return do


_ONE_BAD = (VmFate(), VmFate(), VmFate(boots=False), *(VmFate(),) * 30)

STORIES = (
    Story("create", ((0, create(3)),), workers=3, most_vms=4),
    Story("scale up", ((0, create(2)), (70, scale(4))), workers=4, most_vms=5),
    Story("scale down", ((0, create(4)), (70, scale(1))), workers=1, most_vms=5),
    Story(
        "adapt",
        ((0, create(1, most=4)),),
        workers=2,
        most_vms=5,
        demand=(Demand(0, 1), Demand(30, 4), Demand(110, 2)),
    ),
    Story("delete while launching", ((0, create(3)), (10, delete())), workers=None, most_vms=4),
    Story("failing VMs", ((0, create(3)),), workers=3, most_vms=5, vms=_ONE_BAD, lasts_s=100),
    Story(
        "no capacity, which returns",
        ((0, create(2)), (60, room(2)), (70, scale(6)), (140, room(1000))),
        workers=6,
        most_vms=9,
        had=pools(1000),
    ),
    Story("preemption", ((0, create(3, spot=True)), (80, preempt(1))), workers=3, most_vms=5),
    Story("two replicas", ((0, create(3)), (70, scale(1))), workers=1, most_vms=4, replicas=2),
    Story(
        "two replicas, no capacity",
        ((0, create(4)), (100, room(1000))),
        workers=4,
        most_vms=5,
        replicas=2,
        had=pools(2),
    ),
    Story(
        "two installations",
        ((0, create(2)), (10, create(1, site=1)), (80, delete())),
        workers=None,
        most_vms=3,
        sites=2,
    ),
)

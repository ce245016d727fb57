"""What users do and what clouds do to them: the stories that the matrix kills everywhere.

Each ends in something that was asked for, and says how many VMs it may take at most: a kill is no
reason for another one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from shoal.clouds.sim_agents import Demand
from shoal.clouds.sim_knobs import Pool, VmFate
from shoal.core.limits import in_words
from shoal.wire.limits import Limits
from shoal.wire.specs import Workers
from tests.kill.rig import Scene, pools

Do = Callable[[Scene], Awaitable[None]]


class Deed(msgspec.Struct, frozen=True):
    """Somebody does something, so many seconds after the beginning."""

    at_s: float
    words: str
    do: Do
    who: str = "ada"


class Story(msgspec.Struct, frozen=True):
    name: str
    script: tuple[Deed, ...]
    workers: int | None  # that are there at the end; None: the cluster has ended
    most_vms: int  # that may ever be made for one cluster
    replicas: int = 1
    sites: int = 1
    had: tuple[Pool, ...] = ()
    demand: tuple[Demand, ...] = ()
    vms: tuple[VmFate, ...] = (VmFate(),)
    lasts_s: float = 0.0  # at least
    at_once: int | None = None  # VMs that the cloud may ever have at the same time
    after_s: float = 150.0  # shown in a transcript after the last deed

    @property
    def until_s(self) -> float:
        last = max((it.after_s for it in self.demand), default=0.0) + 80.0 * bool(self.demand)
        return max(last, self.script[-1].at_s, self.lasts_s)


def create(
    at_s: float, count: int, *, spot: bool = False, site: int = 0, most: int | None = None
) -> Deed:
    workers = Workers(count, count, count) if most is None else Workers(1, count, most)
    words = f"asks for {count} workers" if most is None else f"asks for 1 to {most} workers"
    return Deed(at_s, words, lambda scene: scene.create(workers, spot=spot, site=site))


def scale(at_s: float, wanted: int) -> Deed:
    return Deed(at_s, f"asks for {wanted} workers now", lambda scene: scene.scale(wanted))


def limit(at_s: float, **values: int) -> Deed:
    asked = Limits(**values)  # type: ignore[arg-type]
    return Deed(at_s, f"allows the team {in_words(asked)}", lambda it: it.limit(asked), "root")


def dear() -> tuple[Pool, ...]:
    """As `pools`, at a thousand times the price: a minute of these is seen on a bill."""
    return tuple(
        msgspec.structs.replace(it, price_uusd_per_hour=1_000 * (it.price_uusd_per_hour or 0))
        for it in pools()
    )


def delete(at_s: float) -> Deed:
    return Deed(at_s, "stops it", lambda scene: scene.delete())


def room(at_s: float, count: int) -> Deed:
    async def do(scene: Scene) -> None:
        for key in list(scene.account.pools):
            if not key[2]:
                scene.account.set_capacity(key, count, scene.clock())

    return Deed(at_s, f"has room for {count} of each type in each zone now", do, "cloud")


def preempt(at_s: float) -> Deed:
    """The newest spot VM."""

    async def do(scene: Scene) -> None:
        spot = [it for it in scene.account.alive(scene.clock()) if it.pool.spot]
        if spot:
            scene.account.preempt(spot[-1], scene.clock())

    return Deed(at_s, "takes the newest spot VM away", do, "cloud")


_ONE_BAD = (VmFate(), VmFate(), VmFate(boots=False), *(VmFate(),) * 30)

STORIES = (
    Story("create", (create(0, 3),), workers=3, most_vms=4),
    Story("scale up", (create(0, 2), scale(70, 4)), workers=4, most_vms=5),
    Story("scale down", (create(0, 4), scale(70, 1)), workers=1, most_vms=5),
    Story(
        "adapt",
        (create(0, 1, most=4),),
        workers=2,
        most_vms=5,
        demand=(Demand(0, 1), Demand(30, 4), Demand(110, 2)),
    ),
    Story("delete while launching", (create(0, 3), delete(10)), workers=None, most_vms=4),
    Story("failing VMs", (create(0, 3),), workers=3, most_vms=5, vms=_ONE_BAD, lasts_s=100),
    Story(
        "no capacity, which returns",
        (create(0, 2), room(60, 2), scale(70, 6), room(140, 1000)),
        workers=6,
        most_vms=9,
    ),
    Story("preemption", (create(0, 3, spot=True), preempt(80)), workers=3, most_vms=5),
    Story(
        "limits",
        (limit(0, workers=3), create(0, 5), limit(70, workers=4, budget_uusd=5_000_000)),
        workers=None,
        most_vms=5,
        at_once=5,
        had=dear(),
        lasts_s=230.0,
        after_s=180.0,
    ),
    Story("two replicas", (create(0, 3), scale(70, 1)), workers=1, most_vms=4, replicas=2),
    Story(
        "two replicas, no capacity",
        (create(0, 4), room(100, 1000)),
        workers=4,
        most_vms=5,
        replicas=2,
        had=pools(2),
    ),
    Story(
        "two installations",
        (create(0, 2), create(10, 1, site=1), delete(80)),
        workers=None,
        most_vms=3,
        sites=2,
    ),
)

"""The matrix: each story, in each kind of weather, killed at each point where it can be."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from shoal.clouds.sim import SimCloud
from shoal.clouds.sim_knobs import Fate, Knobs
from shoal.core.records import Batch, Timing
from shoal.server.passes.reconcile import Reconciler
from shoal.store.database import Database
from tests.kill import oracle
from tests.kill.rig import STEP_S, Scene, Site, Snapshot, boot_text
from tests.kill.stories import Story

MOST_STEPS = 60
LAG_S = 15.0


class Weather(msgspec.Struct, frozen=True):
    """`launches`, `terminates`: what becomes of calls."""

    name: str
    lag_s: float = 0.0
    named: bool = True
    calls: tuple[Fate, ...] = (Fate.FINE,)

    def knobs(self, story: Story, believed_lag_s: float | None = None) -> Knobs:
        if believed_lag_s is None:
            believed_lag_s = self.lag_s + 1.0
        return Knobs(
            named=self.named,
            appear_lag_s=self.lag_s,
            vanish_lag_s=self.lag_s,
            ending_s=5.0,
            late_s=35.0,
            launches=self.calls,
            terminates=self.calls,
            vms=story.vms,
            timing=Timing(
                listing_lag_s=believed_lag_s,
                boot_timeout_s=60.0,
                silence_timeout_s=120.0,
                drain_timeout_s=60.0,
                capacity_mark_s=25.0,
                preempted_mark_s=60.0,
            ),
        )


CALLS = {
    "": (Fate.FINE,),
    "lost requests": (Fate.LOST_REQUEST, Fate.FINE),
    "lost answers": (Fate.LOST_ANSWER, Fate.FINE),
    "late requests": (Fate.LATE_REQUEST, Fate.FINE),
}
# Of these one of each kind: what they do depends little on the listing.
BUSY = (
    Weather("throttled", calls=(Fate.THROTTLED, Fate.FINE)),
    Weather("duplicates", calls=(Fate.DUPLICATED,)),
)
WEATHERS = BUSY + tuple(
    Weather(
        ", ".join(it for it in ("lag" if lag else "", "" if named else "unnamed", calls) if it)
        or "fine",
        lag,
        named,
        CALLS[calls],
    )
    for lag in (0.0, LAG_S)
    for named in (True, False)
    for calls in CALLS
)


class Variant(msgspec.Struct, frozen=True):
    """Who reconciles; the broken ones are for seeing that the matrix sees."""

    reconciler: type[Reconciler] = Reconciler
    listing_lag_s: float | None = None  # as the reconciler believes; None: a little more than it is
    provider: Callable[[Site], SimCloud] | None = None
    text: Callable[[Batch], str] = boot_text


class Failure(msgspec.Struct, frozen=True):
    story: str
    weather: str
    killed: tuple[str, ...]
    complaints: tuple[str, ...]


class Column:
    """One story in one weather: the run that nobody kills, and from it all the others.

    A run that is killed is the undisturbed one up to there, so it begins at the last step before.
    """

    def __init__(
        self,
        databases: list[Database],
        story: Story,
        weather: Weather,
        variant: Variant | None = None,
    ) -> None:
        self.story, self.weather = story, weather
        self._databases = databases[: story.sites]
        self._variant = variant or Variant()
        self._snapshots: list[Snapshot] = []

    async def undisturbed(self) -> Failure | None:
        self.scene = self._scene()
        self._snapshots = []
        complaints = await self._continue(0, keep=True)
        self.points = self.scene.points.count
        self.distinct = tuple(self.scene.points.distinct)
        self.openings = tuple(self.scene.points.openings)
        self.writes = tuple(self.scene.points.writes)
        return self._judge(complaints)

    async def again(self) -> set[int]:
        """How many points there are, from each step on: as many as in the undisturbed run."""
        counts = set()
        for saved in self._snapshots[:-1]:  # for the last step is the second quiet one
            self.scene.restore(saved)
            await self._continue(saved.step)
            counts.add(self.scene.points.count)
        return counts

    async def killed(self, *at: int) -> Failure | None:
        """Killed at these points, and begun again each time."""
        return await self._killed(min(at), kills=frozenset(at))

    async def torn(self, at: int) -> Failure | None:
        """Killed inside the transaction that this point is before."""
        return await self._killed(at, torn=frozenset([at]))

    async def _killed(
        self, first: int, *, kills: frozenset[int] = frozenset(), torn: frozenset[int] = frozenset()
    ) -> Failure | None:
        saved = [it for it in self._snapshots if it.points < first][-1]
        points = self.scene.points
        self.scene.restore(saved)
        points.kills, points.torn = kills, torn
        complaints = await self._continue(saved.step)
        points.kills = points.torn = frozenset()
        if not self.scene.points.died_at:
            complaints.append(f"nobody died at {first}: the run is not what it was")
        return self._judge(complaints)

    @property
    def deaths(self) -> int:
        """In the last run."""
        return len(self.scene.points.died_at)

    async def visited(self, at: int) -> Failure | None:
        """At this point the other replica makes a whole pass."""
        saved = [it for it in self._snapshots if it.points < at][-1]
        self.scene.restore(saved)
        points = self.scene.points
        points.guests, points.guest = frozenset([at]), self.scene.sites[0].replicas[1].run_pass
        complaints = await self._continue(saved.step)
        points.guests = frozenset()
        points.died_at = [f"{at}: a guest"]
        return self._judge(complaints)

    def _scene(self) -> Scene:
        return Scene(
            self._databases,
            knobs=self.weather.knobs(self.story, self._variant.listing_lag_s),
            had=self.story.had,
            demand=self.story.demand,
            replicas=self.story.replicas,
            variant=self._variant.reconciler,
            provider=self._variant.provider,
            text=self._variant.text,
        )

    async def _continue(self, step: int, *, keep: bool = False) -> list[str]:
        """Until all is as asked and stays so for another step."""
        scene, quiet = self.scene, 0
        unmet = ["nothing was done"]
        for number in range(step, MOST_STEPS):
            if keep:
                self._snapshots.append(scene.save(number))
            for it in self.story.script:
                if round(it.at_s / STEP_S) == number:
                    await it.do(scene)
            await scene.step()
            scene.advance()
            if scene.elapsed_s > self.story.until_s:
                unmet = oracle.unmet(scene, self.story)
                quiet = 0 if unmet else quiet + 1
                if quiet == 2:
                    break
        return unmet

    def _judge(self, unmet: list[str]) -> Failure | None:
        complaints = (*unmet, *oracle.broken(self.scene, self.story))
        if not complaints:
            return None
        died = tuple(self.scene.points.died_at)
        return Failure(self.story.name, self.weather.name, died, complaints)


class Extent(msgspec.Struct, frozen=True):
    """How much of the matrix: None is every point."""

    points: int | None = None  # in each column, spread evenly
    pairs: int = 0  # in each column
    torn: int | None = 0  # transactions in each column
    visits: int | None = None  # in the columns of stories with two replicas


class Report(msgspec.Struct):
    runs: int = 0
    deaths: int = 0
    points: int = 0  # I/O points of all columns
    failures: list[Failure] = []

    def count(self, failure: Failure | None) -> None:
        self.runs += 1
        if failure is not None:
            self.failures.append(failure)


async def walk(columns: Iterable[Column], extent: Extent, report: Report) -> None:
    for column in columns:
        report.count(await column.undisturbed())
        report.points += column.points
        for at in spread(column.distinct, extent.points):
            report.count(await column.killed(at))
            report.deaths += column.deaths
        for at in spread(column.writes, extent.torn):
            report.count(await column.torn(at))
            report.deaths += column.deaths
        for first, second in pairs(column, extent.pairs):
            report.count(await column.killed(first, second))
            report.deaths += column.deaths
        if column.story.replicas > 1:
            for at in spread(column.openings, extent.visits):
                report.count(await column.visited(at))


def spread(points: Sequence[int], count: int | None) -> Sequence[int]:
    if count is None or count >= len(points):
        return points
    return [points[place * len(points) // count] for place in range(count)]


def pairs(column: Column, count: int) -> Iterator[tuple[int, int]]:
    """Two deaths, the second soon after the first. Chance, but the same each time."""
    dice = random.Random(f"{column.story.name} {column.weather.name}")
    for _ in range(count):
        first = dice.choice(column.distinct)
        yield first, first + dice.randint(1, 40)

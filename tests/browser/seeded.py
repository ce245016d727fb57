"""A store with a team's story in it: what pages look like when there is much to see.

The same numbers each time: nothing here is random.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert

from shoal.core.records import (
    Batch,
    Cluster,
    EndKind,
    HeadObservation,
    Instance,
    Observation,
    Offer,
)
from shoal.store import (
    clusters,
    environments,
    ledger,
    limits,
    logs,
    observations,
    tables,
    telemetry,
)
from shoal.store.database import Database
from shoal.store.rows import values
from shoal.wire.environments import Manifest, PackageSummary, WheelFile
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import (
    BatchId,
    ClusterId,
    EnvironmentId,
    InstanceId,
    UserName,
    WorkspaceName,
    instance_id,
)
from shoal.wire.limits import EACH, ChangeLimits, Limits
from shoal.wire.limits import WHOLE as WHOLE_OF
from shoal.wire.reports import HeadReport, LogChunk, PhaseTime, SchedulerReport
from shoal.wire.specs import Cloud, ClusterSpec, Hardware, Range, Role, SpotPolicy, Workers
from shoal.wire.telemetry import Chunk
from shoal.wire.views import InstanceState, LogLine, Stage
from tests.browser import seeded_record

RESEARCH = WorkspaceName("research")
WATCHED = ClusterId("on-hpc-watched")
GRID = ClusterId("c-0000000001")  # the one with a record
UNMADE = ClusterId("c-0000000004")  # its environment cannot be made
PEOPLE = ("ada", "grace", "edsger", "barbara")
NAMES = ("etl-nightly", "train-forecast", "climate-grid", "ad-hoc", "quantiles")
ZONES = ("us-east1-b", "us-east1-c", "us-east1-d")
PRICE = 194_236  # µ$ an hour
OLD, NEW = EnvironmentId("env-old"), EnvironmentId("env-new")


def manifests() -> Iterator[Manifest]:
    common = [("dask", "2026.8.0"), ("distributed", "2026.8.0"), ("msgpack", "1.1.2")]
    for id, more, sha in (
        (OLD, [("pandas", "2.3.1"), ("s3fs", "2026.3.0")], "a" * 64),
        (NEW, [("pandas", "3.0.0"), ("gcsfs", "2026.3.0")], "b" * 64),
    ):
        told = tuple(PackageSummary(n, v, "index") for n, v in sorted([*common, *more]))
        own = PackageSummary("flight-delays", "0.4.0", "editable")
        wheel = WheelFile("flight_delays-0.4.0.whl", sha, 48_213, own.name, own.version, "editable")
        lock = "lock-version = '1.0'\n"
        platform = "x86_64-unknown-linux-gnu"
        yield Manifest(id, lock, "3.12.4", platform, (wheel,), (*told, own))


class Story:
    """Clusters with their VMs, written as a server would have written them over weeks."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.rows: dict[str, list[dict[str, object]]] = {
            name: [] for name in ("cluster", "batch", "instance", "observation", "head", "event")
        }

    def cluster(
        self,
        number: int,
        *,
        began_s: float,
        lasted_s: float | None = None,
        workers: int = 4,
        name: str = "",
        end: EndKind = EndKind.RULE,
        cloud: Cloud = Cloud.GCP,
    ) -> Cluster:
        """`began_s` ago; None: it still runs."""
        began = self.now - timedelta(seconds=began_s)
        ended = None if lasted_s is None else began + timedelta(seconds=lasted_s)
        reason = {
            EndKind.RULE: "the scheduler has been idle for 20 minutes",
            EndKind.FAILED: "no worker could be had: quota CPUS 24 in us-east1",
        }.get(end, "asked by the user")
        tags = {"team": ("climate", "pricing")[number % 2], "stage": "prod"}
        spec = ClusterSpec(
            name or f"{NAMES[number % len(NAMES)]}-{number}",
            cloud,
            Workers(workers, workers, workers),
            NEW if number % 3 else OLD,
            region="us-east1",
            worker=Hardware(cpu=Range(4, 4), memory_bytes=Range(16 << 30, 16 << 30)),
            spot_policy=SpotPolicy.SPOT_WITH_FALLBACK if number % 2 else SpotPolicy.ON_DEMAND,
            tags=tags if number % 4 else {},
        )
        made = Cluster(
            ClusterId(f"c-{number:010d}"),
            RESEARCH,
            UserName(PEOPLE[number % len(PEOPLE)]),
            spec,
            1,
            began,
            ended,
            end if ended else None,
            reason if ended else "",
            ended + timedelta(seconds=20) if ended else None,
        )
        self.rows["cluster"].append(clusters.row(made))
        self.event(made, EventKind.CLUSTER_CREATED, 0, f"{made.owner} asked for {workers} workers")
        if ended is not None and lasted_s is not None:
            self.event(made, EventKind.CLUSTER_ENDING, lasted_s, reason)
        self._batch(made, 1 + workers)
        return made

    def _batch(self, cluster: Cluster, count: int) -> None:
        id = BatchId(f"{cluster.id}-b1")
        offer = Offer(
            cluster.spec.cloud, "us-east1", ZONES[0], "n2-standard-4", False, "x86_64", 4, 16 << 30
        )
        names = tuple(instance_id(cluster.id, n + 1) for n in range(count))
        made = Batch(
            id,
            cluster.id,
            Role.WORKER,
            count,
            (offer,),
            names,
            cluster.created_at,
            "",
            "",
            30,
            (),
            0.0,
            cluster.created_at,
        )
        self.rows["batch"].append({"id": id, "cluster": cluster.id, "record": made})

    def vm(
        self,
        cluster: Cluster,
        number: int,
        stages: tuple[tuple[Stage, float], ...],
        *,
        gone_s: float | None = None,
        failed: str = "",
        taken: str = "",
        price: int | None = PRICE,
    ) -> None:
        """`stages`: with seconds after the cluster's creation; the first launched the VM."""
        began = cluster.created_at
        id = instance_id(cluster.id, number)
        launched = began + timedelta(seconds=1.5 + number % 5) if stages else None
        gone = None if gone_s is None else began + timedelta(seconds=gone_s)
        released = None if gone is None else gone - timedelta(seconds=15)
        state = (
            InstanceState.GONE
            if gone
            else InstanceState.LAUNCHED
            if stages
            else InstanceState.INTENDED
        )
        made = Instance(
            id=id,
            batch=BatchId(f"{cluster.id}-b1"),
            cluster=cluster.id,
            role=Role.SCHEDULER if number == 1 else Role.WORKER,
            state=state,
            since=gone or launched or began,
            why=failed or taken or (cluster.end_reason if gone else "4 more workers are wanted"),
            created_at=began,
            launched_at=launched,
            released_at=released,
            gone_at=gone,
            failed=bool(failed),
            vm=f"vm-{id}" if launched else "",
            address=f"10.142.0.{number % 250}:8788",
            zone=ZONES[number % 3],
            machine_type="n2-standard-4",
            spot=number % 2 == 0 and cluster.spec.spot_policy is not SpotPolicy.ON_DEMAND,
            price_uusd_per_hour=price,
        )
        self.rows["instance"].append(
            values(made, number=number, cloud=cluster.spec.cloud, ready_at=None)
        )
        before = ""
        for stage, after_s in stages:
            why = f"its agent says {stage}"
            self.event(cluster, EventKind.INSTANCE_STAGE, after_s, why, id, before, stage)
            before = stage
        if stages and gone is None:
            stage, after_s = stages[-1]
            at = began + timedelta(seconds=after_s)
            environment = cluster.spec.environment
            seen = Observation(
                id, stage, at, self.now, memory_limit_bytes=16 << 30, environment=environment
            )
            took = (PhaseTime("wheels", 0.4), PhaseTime("installing", 3.0 + number / 4))
            self.rows["observation"].append(values(seen, made_in=took))

    def head(self, cluster: Cluster, *, clients: int = 1, tasks: int = 0) -> None:
        ready = cluster.created_at + timedelta(seconds=21)
        made = HeadObservation(
            cluster.id,
            self.now,
            scheduler_address="tls://10.142.0.1:8786",
            dashboard_address="10.142.0.1:8787",
            clients=clients,
            workers=4,
            tasks=tasks,
            ready_at=ready,
        )
        self.rows["head"].append(values(made))
        why = "the scheduler accepts clients at tls://10.142.0.1:8786"
        self.event(cluster, EventKind.CLUSTER_READY, 21, why)

    def event(
        self,
        cluster: Cluster,
        kind: EventKind,
        after_s: float,
        why: str,
        instance: InstanceId | None = None,
        before: str = "",
        after: str = "",
    ) -> None:
        at = cluster.created_at + timedelta(seconds=after_s)
        actor = "agent" if kind is EventKind.INSTANCE_STAGE else "reconciler"
        made = Event(
            at,
            kind,
            actor,
            why,
            workspace=RESEARCH,
            cluster=cluster.id,
            instance=instance,
            before=before,
            after=after,
        )
        row = values(made)
        del row["seq"]
        self.rows["event"].append(row)

    def store(self, tx: Connection) -> None:
        for it in manifests():
            environments.put(tx, RESEARCH, it, self.now)
        for name, rows in self.rows.items():
            if rows:
                tx.execute(insert(getattr(tables, name)), rows)


NO_WHEEL = (
    "rasterlib could not be installed:\n  × Failed to build `rasterlib==1.4.2`\n"
    "  ╰─▶ gdal-config: command not found"
)
WHOLE = ((Stage.PREPARING, 12.0), (Stage.STARTING, 17.5), (Stage.READY, 19.0))


def past(story: Story, count: int, *, workers: int = 3) -> None:
    """Clusters of the last weeks, a few of which failed."""
    for number in range(100, 100 + count):
        began_s = 3600.0 * (1 + 9.7 * (number - 100) * 70 / count)
        lasted_s = 300.0 + 211.0 * (number % 17)
        end = EndKind.FAILED if number % 11 == 0 else (EndKind.RULE, EndKind.USER)[number % 2]
        it = story.cluster(
            number, began_s=began_s + lasted_s, lasted_s=lasted_s, workers=workers, end=end
        )
        for vm in range(1, workers + 2):
            story.vm(it, vm, () if end is EndKind.FAILED else WHOLE, gone_s=lasted_s + 20)


def team(now: datetime) -> Story:
    """What a person finds in the morning."""
    story = Story(now)
    running = story.cluster(1, began_s=2700, workers=6, name="climate-grid")
    story.head(running, clients=2, tasks=18_412)
    for number in range(1, 8):
        story.vm(running, number, tuple((stage, s + number) for stage, s in WHOLE))
    taken = "the cloud does not have it any more: it was preempted, or ended by itself"
    story.vm(running, 8, WHOLE, gone_s=900, taken=taken)
    story.vm(running, 9, WHOLE, gone_s=1500, failed="its agent was not heard for 120 s")
    scaling = story.cluster(2, began_s=64, workers=5, name="train-forecast")
    story.head(scaling)
    story.vm(scaling, 1, WHOLE)
    story.vm(scaling, 2, ((Stage.PREPARING, 40.0), (Stage.STARTING, 55.0), (Stage.READY, 58.0)))
    story.vm(scaling, 3, ((Stage.PREPARING, 45.0), (Stage.STARTING, 60.0)))
    story.vm(scaling, 4, ((Stage.PREPARING, 50.0),))
    story.vm(scaling, 5, ())
    starting = story.cluster(3, began_s=7, workers=40, name="ad-hoc")
    story.vm(starting, 1, ())
    unmade = story.cluster(
        4, began_s=7200, lasted_s=60, workers=1, name="ad-hoc", end=EndKind.FAILED
    )
    story.vm(unmade, 1, ((Stage.PREPARING, 21.0), (Stage.FAILED, 24.5)), gone_s=80, failed=NO_WHEEL)
    story.cluster(5, began_s=90_000, lasted_s=4000, name="climate-grid")
    past(story, 140)
    return story


def log_lines(cluster: ClusterId, now: datetime, count: int = 900) -> list[LogChunk]:
    texts = (
        "distributed.worker - INFO - Registered to: tls://10.142.0.1:8786",
        "distributed.utils_perf - WARNING - full garbage collections took 12% CPU time recently",
        "distributed.worker - INFO - Starting established connection to tls://10.142.0.1:8786",
        "Processing tile 41 of 320",
        "distributed.worker - ERROR - Compute Failed: ValueError: negative depth at (12, 40)",
    )
    return [
        LogChunk(
            n + 1,
            LogLine(
                now - timedelta(seconds=2 * (count - n)),
                instance_id(cluster, 1 + n % 7),
                ("scheduler", "worker", "agent")[0 if n % 7 == 0 else 1 + n % 2],
                texts[n % len(texts)],
            ),
        )
        for n in range(count)
    ]


def build_log(
    cluster: ClusterId, numbers: Iterable[int], at: datetime, *said: str
) -> Iterator[LogChunk]:
    """What the installer said on VMs."""
    asked = (
        "$ uv venv --quiet --relocatable --python 3.12.4 environment",
        "$ uv pip sync pylock.toml --preview-features pylock --python environment/bin/python",
        "Resolved 7 packages in 31ms",
        "Downloading pandas (11.6MiB)",
    )
    for number in numbers:
        for n, it in enumerate((*asked, *said)):
            line = LogLine(
                at + timedelta(seconds=n / 3), instance_id(cluster, number), "environment", it
            )
            yield LogChunk(10_000 + 100 * number + n, line)


MADE = (
    "Prepared 7 packages in 2.41s",
    "Installed 7 packages in 118ms",
    "+ dask==2026.8.0, distributed==2026.8.0, flight-delays==0.4.0, gcsfs==2026.3.0, pandas==3.0.0",
    "env-new is made: wheels 0.4 s, python 0.2 s, installing 4.8 s",
)


async def limited(database: Database, now: datetime) -> None:
    """Of the workspace, of each user, and of one."""
    for user, its in (
        (WHOLE_OF, Limits(clusters=20, workers=60, vcpus=400, budget_uusd=400_000_000)),
        (EACH, Limits(clusters=4, workers=30, lifetime_s=86_400.0)),
        ("grace", Limits(price_uusd_per_hour=8_000_000, budget_uusd=2_000_000)),
    ):
        asked = ChangeLimits(its, (), UserName(user), "spring")
        await database.run(limits.change, RESEARCH, asked, "ada", now)


async def watched(database: Database, now: datetime) -> None:
    """One that Shoal did not start."""
    began = now - timedelta(minutes=12)
    spec = ClusterSpec("on-hpc", Cloud.WATCHED, Workers(0, 0, 0), EnvironmentId(""))
    made = Cluster(WATCHED, RESEARCH, UserName("ada"), spec, 1, began)
    why = "ada watches the Dask scheduler Scheduler-6f1e"
    event = Event(began, EventKind.CLUSTER_CREATED, "ada", why, cluster=WATCHED)
    await database.run(clusters.create, made, event)
    scheduler = SchedulerReport("tcp://10.0.0.9:8786", "10.0.0.9:8787", clients=1, workers=4)
    report = HeadReport(WATCHED, began, 1, scheduler=scheduler)
    await database.run(observations.record, report, now)
    items = [Chunk(n, it) for n, it in enumerate(seeded_record.of_watched(now), 1)]
    await database.run_samples(telemetry.append, WATCHED, RESEARCH, items)
    await database.run_samples(telemetry.lost, WATCHED, 1, now, items=37, log_lines=0)


async def fill(database: Database, story: Story) -> None:
    await watched(database, story.now)
    await database.run(story.store)
    while await database.run(ledger.book, story.now):
        pass
    lines = log_lines(GRID, story.now)
    await database.run_samples(logs.append, GRID, lines, story.now)
    began = story.now - timedelta(seconds=2690)
    built = [*build_log(GRID, range(1, 8), began, *MADE)]
    await database.run_samples(logs.append, GRID, built, story.now)
    failed = [
        *build_log(UNMADE, (1,), story.now - timedelta(seconds=7180), *NO_WHEEL.splitlines()[1:])
    ]
    await database.run_samples(logs.append, UNMADE, failed, story.now)
    await limited(database, story.now)
    await seeded_record.fill(database, RESEARCH, GRID, story.now)

"""`replayed_hour.py WORKERS MINUTES`: what a cluster's record costs the server, replayed at speed.

Reports as a head sends them, one every five seconds of replayed time: all VMs' states, forty host
samples a second, the scheduler's samples, task groups that change; then the roll-ups, the ageing
and the signals at their times. Counted is the CPU that this process used, without the making of
reports. Prints JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shoal.core.records import Batch, Cluster, Offer
from shoal.core.signals import signals
from shoal.store import clusters, instances, observations, samples, scenes, series, telemetry
from shoal.store import signals as signal_rows
from shoal.store.database import Database
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import (
    ClusterId,
    EnvironmentId,
    UserName,
    WorkspaceName,
    batch_id,
    instance_id,
)
from shoal.wire.reports import HeadReport, SchedulerReport, VmReport
from shoal.wire.specs import Cloud, ClusterSpec, Role, Workers
from shoal.wire.telemetry import (
    Chunk,
    CodeFrame,
    Computation,
    HostSample,
    Item,
    SchedulerSample,
    TaskGroupSample,
)
from shoal.wire.views import Stage

CLUSTER, WORKSPACE = ClusterId("c-aaaaaaaaaa"), WorkspaceName("w")
EVERY_S, HOSTS_A_SECOND = 5, 40
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


class Replay:
    def __init__(self, directory: Path, workers: int) -> None:
        self.names = [instance_id(CLUSTER, n) for n in range(1, workers + 1)]
        self.database = Database.open(
            f"sqlite:///{directory / 'shoal.db'}",
            samples_url=f"sqlite:///{directory / 'samples.db'}",
            inline=True,
        )
        self.seq = 0
        self.next_host = 0
        self.spent_s = 0.0
        self.made = 0

    def ask(self, question, *given, **named):  # type: ignore[no-untyped-def]
        return self._timed(self.database.run(question, *given, **named))

    def ask_samples(self, question, *given, **named):  # type: ignore[no-untyped-def]
        return self._timed(self.database.run_samples(question, *given, **named))

    def _timed(self, coroutine):  # type: ignore[no-untyped-def]
        before = time.process_time()
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        finally:
            self.spent_s += time.process_time() - before
        raise AssertionError("an inline question does not wait")

    def populate(self) -> None:
        count = len(self.names)
        spec = ClusterSpec("big", Cloud.LOCAL, Workers(count, count, count), EnvironmentId("e"))
        cluster = Cluster(CLUSTER, WORKSPACE, UserName("u"), spec, 1, BEGUN)
        event = Event(BEGUN, EventKind.CLUSTER_CREATED, "u", "benchmark", cluster=CLUSTER)
        offer = Offer(Cloud.LOCAL, "r", "z", "m", False, "x86_64", 4, 1 << 34, 190_000)
        batch = Batch(
            batch_id(CLUSTER, 1), CLUSTER, Role.WORKER, count, (offer,), tuple(self.names), BEGUN,
            "", "", 0, (), 0.0, BEGUN,
        )  # fmt: skip
        self.ask(clusters.create, cluster, event)
        self.ask(instances.intend, batch, 1, event)
        self.spent_s = 0.0

    def minute(self, number: int) -> None:
        begun = BEGUN + timedelta(minutes=number)
        for step in range(0, 60, EVERY_S):
            now = begun + timedelta(seconds=step)
            report = self.report(now, number)
            self.ask(observations.record, report, now)
            self.ask_samples(samples.take, CLUSTER, WORKSPACE, report, now)
            if step % 10 == 0:
                self.signals(now)
        now = begun + timedelta(minutes=1)
        self.ask_samples(series.roll_up, now)
        if number % 10 == 9:
            kept = {"logs_for": timedelta(days=14), "metrics_for": timedelta(days=90)}
            self.ask_samples(samples.age, now, most_lines=200_000, **kept)
            self.ask_samples(telemetry.prune, now - timedelta(days=365))

    def signals(self, now: datetime) -> None:
        facts = self.ask(scenes.facts, CLUSTER, now)
        scene = self.ask_samples(scenes.scene, facts, now)
        before = time.process_time()
        found = signals(scene)
        self.spent_s += time.process_time() - before
        self.ask_samples(signal_rows.put, CLUSTER, WORKSPACE, found, now)

    def report(self, now: datetime, minute: int) -> HeadReport:
        vms = tuple(
            VmReport(
                it, Role.WORKER, Stage.READY, BEGUN, heard_at=now, cpu_percent=float(now.second)
            )
            for it in self.names
        )
        items: list[Item] = [SchedulerSample(now - timedelta(seconds=2 * n)) for n in range(3)]
        items += [self.host(now, n) for n in range(EVERY_S * HOSTS_A_SECOND)]
        items += self.standing(now, minute)
        self.made += len(items)
        chunks = tuple(Chunk(self.seq + n, it) for n, it in enumerate(items))
        self.seq += len(items)
        scheduler = SchedulerReport("tls://127.0.0.1:8786", clients=1, workers=len(self.names))
        return HeadReport(CLUSTER, BEGUN, self.seq, vms, scheduler, telemetry=chunks)

    def host(self, now: datetime, n: int) -> HostSample:
        self.next_host = (self.next_host + 1) % len(self.names)
        noise = (self.seq * 7919 + n * 104_729) % 1000
        return HostSample(
            now, self.names[self.next_host], 4, noise / 10, 3.5, 0.1, 0.0, 8_000_000_000 + noise,
            16 << 30, 5_000_000_000 + noise, 900_000_000, noise, 20 << 30, 100 << 30,
            1e6 * noise, 2e6, 3e6, 4e6 + noise, 0.0, 0, 0, 0, 12, 4,
        )  # fmt: skip

    def standing(self, now: datetime, minute: int) -> list[Item]:
        """A computation every ten minutes, of twenty groups, half of which change each time."""
        code = (CodeFrame("/home/u/etl.py", 12, "frame.groupby('x').mean().compute()\n" * 10),)
        id = f"k-{minute // 10}"
        began = BEGUN + timedelta(minutes=minute // 10 * 10)
        done = int((now - began).total_seconds()) * 100
        states = {"memory": done, "processing": 4000, "waiting": 60_000 - done}
        return [
            Computation(id, began, None, code, 64_000, done),
            *(
                TaskGroupSample(id, f"g{n}-{'0' * 32}", f"g{n}", began, now, 3200, states, done)
                for n in range(10)
            ),
        ]


def main(workers: int, minutes: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        replay = Replay(Path(directory), workers)
        replay.populate()
        for number in range(minutes):
            replay.minute(number)
        size = replay.ask_samples(samples.size_bytes)
        replay.database.close()
        share = replay.spent_s / (minutes * 60)
        print(
            json.dumps(
                {
                    "cpu_share": share,
                    "cpu_s_per_worker_hour": replay.spent_s / workers / (minutes / 60),
                    "samples_mib": size / 2**20,
                    "bytes_per_worker_hour": size / workers / (minutes / 60),
                    "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                    "items": replay.made,
                    "pid": os.getpid(),
                }
            )
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

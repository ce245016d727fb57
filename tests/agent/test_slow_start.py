"""A real worker's start, told by its agent and kept by the store, as if it had taken minutes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from rig import CLUSTER, Cluster, ready
from tests.store.asking import ask, ask_samples

from shoal.core.records import Batch, Offer, Vm
from shoal.core.records import Cluster as Asked
from shoal.core.signals import signals
from shoal.store import clusters, instances, observations, scenes
from shoal.store.database import Database
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import EnvironmentId, UserName, WorkspaceName, batch_id, instance_id
from shoal.wire.reports import HeadReport
from shoal.wire.specs import Cloud, ClusterSpec, Role, Workers
from shoal.wire.telemetry import SignalKind

WORKER = instance_id(CLUSTER, 1)


async def started(cluster: Cluster) -> tuple[datetime, list[tuple[datetime, HeadReport]]]:
    """When it was asked for, and what was reported until it was ready."""
    begun = datetime.now(UTC)
    told: list[tuple[datetime, HeadReport]] = []
    cluster.start(0)
    cluster.start(1)
    await cluster.ask()
    while not ready(0, 1)(cluster):
        report = await cluster.take_report()
        told.append((datetime.now(UTC), report))
    return begun, told


def kept(database: Database, begun: datetime) -> None:
    spec = ClusterSpec("slow", Cloud.LOCAL, Workers(1, 1, 1), EnvironmentId("e"))
    asked = Asked(CLUSTER, WorkspaceName("w"), UserName("ada"), spec, 1, begun)
    event = Event(begun, EventKind.CLUSTER_CREATED, "ada", "asked", cluster=CLUSTER)
    offer = Offer(Cloud.LOCAL, "r", "z", "m", False, "x86_64", 1, 1 << 30, None)
    batch = Batch(
        batch_id(CLUSTER, 1), CLUSTER, Role.WORKER, 1, (offer,), (WORKER,), begun, "", "", 0, (),
        0.0, begun,
    )  # fmt: skip
    ask(database, clusters.create, asked, event)
    ask(database, instances.intend, batch, 1, event)
    ask(database, instances.launched, WORKER, Vm("vm", WORKER, batch.id, CLUSTER, begun), begun,
        event)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("took_s", [190.0, 170.0], ids=["beyond", "below"])
def test_a_worker_that_takes_longer_than_three_minutes_is_told(
    cluster: Cluster, tmp_path: Path, took_s: float
) -> None:
    begun, told = asyncio.run(started(cluster))
    asked_at = datetime.now(UTC) - timedelta(minutes=10)
    stretch = took_s / (told[-1][0] - begun).total_seconds()

    def at(moment: datetime) -> datetime:
        return asked_at + max(moment - begun, timedelta(0)) * stretch

    database = Database.open(f"sqlite:///{tmp_path / 'shoal.db'}", inline=True)
    kept(database, asked_at)
    for moment, report in told:
        vms = tuple(
            msgspec.structs.replace(it, since=at(it.since), heard_at=at(moment))
            for it in report.vms
        )
        stretched = msgspec.structs.replace(report, vms=vms, sent_at=None)
        ask(database, observations.record, stretched, at(moment))
    now = at(told[-1][0]) + timedelta(seconds=1)
    facts = ask(database, scenes.facts, CLUSTER, now)
    found = signals(ask_samples(database, scenes.scene, facts, now))
    database.close()
    assert (SignalKind.SLOW_START in {it.kind for it in found}) == (took_s > 180)

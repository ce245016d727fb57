"""A workspace where something happened, through the API and as a head reports it.

Every text that is its own contains VICTIM, so that a reader can be told by it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from shoal.core.records import Cluster
from shoal.server.passes import signalling
from shoal.store import clusters, observations, samples
from shoal.wire.environments import Manifest, PackageSummary, WheelFile, environment_id
from shoal.wire.ids import ClusterId, InstanceId, WorkspaceName
from shoal.wire.reports import HeadReport, LogChunk, SchedulerReport, VmReport
from shoal.wire.requests import CreateCluster, SaveEnvironment, Watch
from shoal.wire.specs import Role
from shoal.wire.telemetry import (
    Chunk,
    ClientEvent,
    CodeFrame,
    Computation,
    HostSample,
    Item,
    PrefixTime,
    SchedulerSample,
    ShuffleEvent,
    TaskException,
    TaskGroupSample,
    WatchedReport,
    WorkerEvent,
)
from shoal.wire.views import LogLine, Stage
from tests.server.conftest import Served
from tests.server.specs import a_spec

VICTIM = "victim"
WHEEL = b"victim's own code"


class Grounds(msgspec.Struct, frozen=True):
    token: str  # the owner's
    cluster: ClusterId
    name: str
    watched: ClusterId
    instance: InstanceId
    manifest: Manifest

    @property
    def path(self) -> Mapping[str, str]:
        """What paths of the API are filled in with."""
        return {
            "cluster": self.cluster,
            "instance": self.instance,
            "computation": "k-victim",
            "environment": self.manifest.id,
            "sha256": self.manifest.wheels[0].sha256,
            "name": "victim-base",
            "cloud": "aws",
            "token": "t-vera-research",
        }


def a_manifest(lock: str = "# victim's lock\n", wheel: bytes = WHEEL) -> Manifest:
    name = "victim-1.0-py3-none-any.whl"
    sha256 = hashlib.sha256(wheel).hexdigest()
    wheels = (WheelFile(name, sha256, len(wheel), "victim", "1.0", "editable"),)
    packages = (PackageSummary("victim", "1.0", "editable"),)
    id = environment_id(lock, "3.11.7", "x86_64-unknown-linux-gnu", wheels)
    return Manifest(id, lock, "3.11.7", "x86_64-unknown-linux-gnu", wheels, packages)


def seeded(served: Served, workspace: str = "research") -> Grounds:
    token = served.token("vera", workspace, "clusters", "admin")
    manifest = a_manifest()
    _did(served.ask(token, "PUT", f"/v1/environments/{manifest.id}", manifest))
    _did(served.send(token, "PUT", f"/v1/wheels/{manifest.wheels[0].sha256}", WHEEL))
    kept = "/v1/environment-names/victim-base"
    _did(served.ask(token, "PUT", kept, SaveEnvironment(manifest.id)))
    spec = a_spec("victim-etl", environment=manifest.id, tags={"team": "victim"})
    clock, served.desk.clock = served.desk.clock, lambda: _ago(100)
    cluster = ClusterId(_did(served.ask(token, "POST", "/v1/clusters", CreateCluster(spec)))["id"])
    served.desk.clock = clock
    served.passes(3)
    watch = Watch("victim-own", "Scheduler-victim")
    watched = ClusterId(_did(served.ask(token, "POST", "/v1/watched", watch))["id"])
    instance = InstanceId(f"shoal-{cluster}-1")
    asyncio.run(_happened(served, cluster, instance))
    report = WatchedReport(_ago(60), "tls://victim:1", chunks=_chunks(instance))
    _did(served.ask(token, "POST", f"/v1/watched/{watched}/report", report))
    return Grounds(token, cluster, "victim-etl", watched, instance, manifest)


def _did(answer: object) -> dict[str, str]:
    status, text = answer.status_code, answer.text  # type: ignore[attr-defined]
    assert status == 200, text
    found: dict[str, str] = json.loads(text)
    return found


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


async def _happened(served: Served, id: ClusterId, head: InstanceId) -> None:
    database = served.desk.database
    cluster: Cluster = await database.run(clusters.get, id)
    vm = VmReport(head, Role.SCHEDULER, Stage.READY, _ago(50), detail="victim's VM")
    lines = tuple(
        LogChunk(n, LogLine(_ago(40 - n), head, "worker", f"victim said {n}")) for n in range(1, 8)
    )
    report = HeadReport(
        id,
        _ago(90),
        50,
        vms=(vm,),
        scheduler=SchedulerReport("tls://10.0.0.1:8786", "10.0.0.1:8787", 1, 2, 3),
        logs=lines,
        telemetry=_chunks(head),
    )
    await database.run(observations.record, report, _ago(0))
    workspace = WorkspaceName(cluster.workspace)
    await database.run_samples(samples.take, id, workspace, report, _ago(0))
    await signalling.Pacer().look(served.desk)


def _chunks(vm: InstanceId) -> tuple[Chunk, ...]:
    code = (CodeFrame("victim.py", 3, "victim.mean().compute()"),)
    items: list[Item] = [
        Computation("k-victim", _ago(60), _ago(30), code, tasks=5, done=4, erred=1, compute_s=9.0),
        TaskGroupSample("k-victim", "victim-1f", "victim", _ago(59), _ago(31), tasks=5),
        PrefixTime("k-victim", "victim", {"thread-cpu": 3.0}),
        TaskException(
            "e-victim",
            "k-victim",
            _ago(40),
            _ago(40),
            1,
            "ValueError",
            "victim",
            "…",
            "f-1",
            "f",
            vm,
        ),
        WorkerEvent(_ago(50), vm, "tls://victim:1", added=True),
        ClientEvent(_ago(48), "Client-victim", connected=True, user="victim"),
        ShuffleEvent(_ago(45), "shuffle-victim", 2, "restarted", workers=2),
        ClientEvent(_ago(70), "Client-victim", connected=True, user="victim"),
        *(SchedulerSample(_ago(s), workers=2, threads=4) for s in range(60, 0, -5)),
        *(HostSample(_ago(s), vm, cpus=4) for s in range(60, 0, -5)),
    ]
    return tuple(Chunk(seq, it) for seq, it in enumerate(items, 1))

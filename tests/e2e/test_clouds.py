"""`Cluster(cloud=…)` computes on VMs that boot: a scheduler and two workers, each in namespaces of
its own, brought up by the cloud's own cloud-init, with the session's environment realised there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.wire.events import EventKind
from tests.e2e.cloud_servers import double_server, plain_server
from tests.e2e.session import Session, sessions
from tests.vms import emulation
from tests.vms.possible import skip_where_impossible

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

JOB = """
    import dask
    import shoal

    def about(_):
        import platform, sys
        import seaweed
        return platform.node(), platform.machine(), sys.prefix, seaweed.grow(1)

    if __name__ == "__main__":
        dask.config.set({{"distributed.comm.timeouts.connect": {patience!r}}})
        with shoal.Cluster("afar", cloud={cloud!r}, n_workers=2, arm={arm},
                           allow_ingress_from="10.0.0.0/8") as cluster:
            with cluster.get_client() as client:
                client.wait_for_workers(2)
                print("SCHEDULER", client.scheduler.address)
                print("SUM", client.submit(sum, range(100)).result())
                for told in client.run(about, 0).values():
                    print("WORKER", *told)
"""


def job(cloud: str, *, arm: bool = False) -> str:
    # An emulated scheduler may take longer to shake hands than Dask waits by itself.
    return JOB.format(cloud=cloud, arm=arm, patience="180 s" if arm else "30 s")


@pytest.fixture(scope="module")
def afar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session where VMs can be made."""
    skip_where_impossible()
    yield from sessions(tmp_path_factory.mktemp("afar"))


@pytest.mark.parametrize("cloud", ["gcp", "aws", "azure"])
def test_a_session_computes_on_vms_of_a_cloud(afar: Session, cloud: str) -> None:
    with plain_server(afar, cloud) as server:
        lines = afar.run(job(cloud), timeout_s=180)
        assert "SUM 4950" in lines
        [scheduler] = [it.split()[1] for it in lines if it.startswith("SCHEDULER")]
        assert scheduler.startswith("tls://10.142.0.")
        workers = [it.split()[1:] for it in lines if it.startswith("WORKER")]
        assert len({node for node, _, _, _ in workers}) == 2
        assert all(prefix.startswith("/var/lib/shoal/") for _, _, prefix, _ in workers)
        assert [grown for _, _, _, grown in workers] == ["2", "2"]
        server.settles("afar")
        stages = [it for it in server.events("afar") if it.kind is EventKind.INSTANCE_STAGE]
        ready = {it.instance for it in stages if it.after == "ready"}
        assert len(ready) == 3


@pytest.mark.parametrize("cloud", ["gcp", "aws", "azure"])
def test_a_session_computes_through_the_vendor_s_own_client(afar: Session, cloud: str) -> None:
    with double_server(afar, cloud) as server:
        lines = afar.run(job(cloud), timeout_s=180)
        assert "SUM 4950" in lines
        assert len([it for it in lines if it.startswith("WORKER")]) == 2
        server.settles("afar")
        told = [it.kind for it in server.events("afar")]
        asked = [EventKind.BATCH_INTENDED, EventKind.INSTANCE_LAUNCHED]
        first = [it for it in told if it in asked][:2]
        beside = cloud == "gcp"  # its VMs are found by name: nobody waits for an address
        assert first == [asked[0], asked[0] if beside else asked[1]]


def test_a_session_computes_on_arm(afar: Session) -> None:
    """Emulated, and without cloud-init, which needs a socket that qemu does not emulate."""
    if reason := emulation.why_not("aarch64"):
        pytest.skip(reason)
    with plain_server(afar, "gcp", boot="BARE", arch="aarch64") as server:
        lines = afar.run(job("gcp", arm=True), timeout_s=400)
        assert "SUM 4950" in lines
        workers = [it.split()[1:] for it in lines if it.startswith("WORKER")]
        assert [machine for _, machine, _, _ in workers] == ["aarch64", "aarch64"]
        server.settles("afar")


SPOT_JOB = """
    import platform, time
    import shoal

    def nodes(client):
        return set(client.run(platform.node).values())

    if __name__ == "__main__":
        with shoal.Cluster("brief", cloud="gcp", n_workers=2, spot_policy="spot") as cluster:
            with cluster.get_client() as client:
                client.wait_for_workers(2)
                before = nodes(client)
                print("READY")
                while len(nodes(client)) < 2 or nodes(client) == before:
                    time.sleep(0.5)
                print("REPLACED", client.submit(sum, [1, 2]).result())
"""


def test_a_preempted_worker_is_replaced(afar: Session) -> None:
    with plain_server(afar, "gcp", boot="BARE") as server:
        script = afar.start(SPOT_JOB)
        script.says("READY", 120)
        server.preempt()
        script.finish(200)
        assert "REPLACED 3" in script.lines
        server.settles("brief")
        events = server.events("brief")
    told = [it for it in events if "preempts this VM" in it.why]
    assert [it.kind for it in told] == [EventKind.INSTANCE_RETIRING, EventKind.INSTANCE_RELEASED]
    [taken] = {it.instance for it in told}
    stages = {it.after for it in events if it.instance == taken}
    assert stages & {"draining", "drained"}


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Session]:
    """Who has Amazon's own client and a login of the double's account."""
    skip_where_impossible()
    for session in sessions(tmp_path, "[aws]"):
        session.environment |= {
            "AWS_ACCESS_KEY_ID": "of-the-double",
            "AWS_SECRET_ACCESS_KEY": "of-the-double",
        }
        yield session


def test_the_doctor_proves_an_account_with_a_vm_and_leaves_nothing(operator: Session) -> None:
    with double_server(operator, "aws"):
        line = ("doctor", "aws", "--live", "--yes", "--json")
        told = operator.shoal(*line, check=False, timeout_s=300)
        assert told.stdout, told.stderr
        found = {it["check"]: it for it in json.loads(told.stdout)}
    live = {check: it["grade"] for check, it in found.items() if check.startswith("live")}
    assert live == {
        "live: boot": "good",
        "live: scheduler": "good",
        "live: listing and tags": "good",
        "live: notices": "good",
        "live: deletion": "good",
        "live: cost": "good",
    }
    assert found["live: cost"]["found"].startswith("$")

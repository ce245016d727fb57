"""`Cluster(cloud=…)` computes on VMs that boot: a scheduler and two workers, each in namespaces of
its own, brought up by the cloud's own cloud-init, with the session's environment realised there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.plain_clouds import plain_server
from tests.e2e.session import Session, sessions, until
from tests.vms import base, emulation, namespaces

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

JOB = """
    import shoal

    def about(_):
        import platform, sys
        import seaweed
        return platform.node(), platform.machine(), sys.prefix, seaweed.grow(1)

    if __name__ == "__main__":
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
    return JOB.format(cloud=cloud, arm=arm)


@pytest.fixture(scope="module")
def afar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session where VMs can be made."""
    if missing := namespaces.missing():
        pytest.skip(f"not installed: {', '.join(missing)}")
    if reason := namespaces.forbidden(base.cache()):
        pytest.skip(reason)
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
        until(lambda: not server.vms(), 30, lambda: str(server.vms()))


def test_a_session_computes_on_arm(afar: Session) -> None:
    """Emulated, and without cloud-init, which needs a socket that qemu does not emulate."""
    if reason := emulation.why_not("aarch64"):
        pytest.skip(reason)
    with plain_server(afar, "gcp", boot="BARE", arch="aarch64") as server:
        lines = afar.run(job("gcp", arm=True), timeout_s=400)
        assert "SUM 4950" in lines
        workers = [it.split()[1:] for it in lines if it.startswith("WORKER")]
        assert [machine for _, machine, _, _ in workers] == ["aarch64", "aarch64"]
        until(lambda: not server.vms(), 60, lambda: str(server.vms()))

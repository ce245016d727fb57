"""Memory limits, the child's environment, the dead man, what a VM is told: small tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.agent import asked, dead_man
from shoal.agent.clock import Clock
from shoal.agent.dask_child import child_environment
from shoal.agent.memory import own_group
from shoal.agent.messages import ConfigureWorker
from shoal.agent.standing import Standing, Use, without_samples
from shoal.agent.vm import Vm, from_environment
from shoal.trust.dask_tls import from_files
from shoal.trust.identities import IdentityFiles
from shoal.wire.boot import BootDocument
from shoal.wire.environments import Manifest
from shoal.wire.ids import ClusterId, EnvironmentId, InstanceId
from shoal.wire.reports import WorkerOrders
from shoal.wire.specs import DaskOptions, Role
from shoal.wire.views import Stage

GIB = 2**30


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


VERSION_1 = {
    "membership": "11:cpu,cpuacct:/vm\n4:memory:/vm\n0::/\n",
    "root/memory/vm/memory.limit_in_bytes": "1073741824\n",
    "root/memory/vm/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}
VERSION_2 = {
    "membership": "0::/vm\n",
    "root/cgroup.controllers": "cpu memory\n",
    "root/vm/memory.max": "1073741824\n",
    "root/vm/memory.events": "low 0\nmax 7\noom 1\noom_kill 2\noom_group_kill 0\n",
}
CONTAINER = {
    "membership": "0::/host/path/that/is/not/here\n",
    "root/cgroup.controllers": "memory\n",
    "root/memory.max": "1073741824\n",
    "root/memory.events": "oom_kill 2\n",
}


@pytest.mark.parametrize("files", [VERSION_1, VERSION_2, CONTAINER])
def test_limit_and_kills_are_read_from_both_kinds_of_control_group(
    tmp_path: Path, files: dict[str, str]
) -> None:
    write(tmp_path, files)
    group = own_group(tmp_path / "membership", tmp_path / "root")
    assert group is not None
    assert (group.limit_bytes(), group.oom_kills()) == (GIB, 2)


@pytest.mark.parametrize("limit", ["max\n", "9223372036854771712\n", ""])
def test_no_limit_is_no_number(tmp_path: Path, limit: str) -> None:
    write(tmp_path, {**VERSION_2, "root/vm/memory.max": limit})
    group = own_group(tmp_path / "membership", tmp_path / "root")
    assert group is not None
    assert group.limit_bytes() is None


def test_where_there_are_no_control_groups_nothing_is_known(tmp_path: Path) -> None:
    assert own_group(tmp_path / "membership", tmp_path / "root") is None


VM = {
    "SHOAL_VM_NAME": "shoal-c-abcdefghij-3",
    "SHOAL_VM_DIR": "/vm",
    "SHOAL_VM_ADDRESS": "127.1.2.3:8788",
    "SHOAL_VM_CPUS": "4",
    "SHOAL_VM_MEMORY_BYTES": str(4 * GIB),
}


def test_dask_gets_the_memory_that_is_really_there_less_the_agents_share() -> None:
    def dask_bytes(cloud: int, kernel: int | None) -> int:
        environ = {**VM, "SHOAL_VM_MEMORY_BYTES": str(cloud)}
        return from_environment(environ, kernel).dask_memory_bytes()

    assert dask_bytes(4 * GIB, None) == 4 * GIB - int(0.03 * 4 * GIB)
    assert dask_bytes(4 * GIB, GIB) == GIB - 64 * 2**20
    assert dask_bytes(0, GIB) == GIB - 64 * 2**20
    assert dask_bytes(100 * 2**20, None) == 50 * 2**20
    assert dask_bytes(0, None) == 0


def test_an_address_may_be_of_version_six() -> None:
    vm = from_environment({**VM, "SHOAL_VM_ADDRESS": "[::1]:8788"})
    assert (vm.host, vm.port) == ("::1", 8788)


def test_the_dask_process_inherits_nothing_of_the_agents_own() -> None:
    inherited = {
        **VM,
        "PATH": "/usr/bin",
        "PYTHONPATH": "/agent",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/root",
        "OMP_NUM_THREADS": "8",
    }
    asked = {"MALLOC_TRIM_THRESHOLD_": "1", "PYTHONHASHSEED": "7", "SHOAL_VM_NAME": "else"}
    found = child_environment(inherited, asked, Path("/prefix"), Path("/vm/dask"))
    assert found == {
        "PATH": "/prefix/bin:/usr/bin",
        "HOME": "/root",
        "SHOAL_VM_NAME": "shoal-c-abcdefghij-3",  # by which the local cloud finds what is a VM's
        "VIRTUAL_ENV": "/prefix",
        "DASK_TEMPORARY_DIRECTORY": "/vm/dask",
        "MALLOC_TRIM_THRESHOLD_": "1",  # the user's wins
        "OMP_NUM_THREADS": "8",  # the machine's wins over Dask's
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "7",
    }


BOOT = BootDocument(ClusterId("c"), Role.WORKER, "", "", lifetime_s=100, silence_s=30)
FOR_EVER = BootDocument(ClusterId("c"), Role.WORKER, "", "", lifetime_s=0, silence_s=0)


@pytest.mark.parametrize(
    ("boot", "age_s", "silent_s", "ends"),
    [
        (BOOT, 0, 0, False),
        (BOOT, 99, 29, False),
        (BOOT, 100, 0, True),
        (BOOT, 50, 30, True),
        (FOR_EVER, 1e9, 1e9, False),
    ],
)
def test_a_vm_that_nobody_leads_ends_itself(
    boot: BootDocument, age_s: float, silent_s: float, *, ends: bool
) -> None:
    assert bool(dead_man.verdict(boot, age_s=age_s, silent_s=silent_s)) is ends


def test_a_stage_keeps_its_beginning_while_its_detail_changes() -> None:
    standing = Standing(InstanceId("shoal-c-1"), Role.WORKER, Clock())
    standing.stage(Stage.STARTING, "importing Dask")
    began = standing.report.since
    standing.stage(Stage.STARTING, "connecting")
    assert standing.report.since == began
    assert standing.report.detail == "connecting"


def test_the_address_is_told_while_the_worker_serves_and_not_after() -> None:
    standing = Standing(InstanceId("shoal-c-1"), Role.WORKER, Clock())
    standing.ready("tls://here", "env-1")
    standing.draining()
    assert (standing.report.stage, standing.report.dask_address) == (Stage.DRAINING, "tls://here")
    standing.stage(Stage.DRAINED)
    assert standing.report.dask_address == ""


def test_what_was_never_ready_does_not_drain() -> None:
    standing = Standing(InstanceId("shoal-c-1"), Role.WORKER, Clock())
    standing.draining()
    assert standing.report.stage is Stage.PREPARING


def test_a_sample_wakes_nobody_and_a_failure_does() -> None:
    standing = Standing(InstanceId("shoal-c-1"), Role.WORKER, Clock())
    before = standing.changed.count
    standing.sample(Use(cpu_percent=50.0, memory_bytes=1))
    assert standing.changed.count == before
    assert without_samples(standing.report).memory_bytes == 0
    standing.failed("tiny could not be installed:\nNo such file")
    assert standing.changed.count > before
    assert standing.report.detail == "tiny could not be installed:"
    assert "No such file" in standing.report.failure


def test_a_dask_worker_is_told_where_its_vms_own_metadata_service_is(tmp_path: Path) -> None:
    vm = Vm(
        InstanceId("i-1"),
        tmp_path,
        "10.0.0.7",
        1,
        4,
        GIB,
        tmp_path,
        cloud="gcp",
        metadata="http://169.254.169.254",
    )
    manifest = Manifest(EnvironmentId("env-1"), "", "3.11.7", "x86_64-unknown-linux-gnu")
    orders = WorkerOrders(1, manifest, DaskOptions(), "tls://10.0.0.2:8786")
    security = from_files(IdentityFiles(tmp_path, tmp_path, tmp_path))
    told = asked.of_worker(orders, vm, security).configuration
    assert isinstance(told, ConfigureWorker)
    assert (told.cloud, told.metadata) == ("gcp", "http://169.254.169.254")

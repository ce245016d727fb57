"""What only the local cloud does: process trees, addresses, memory limits, tombstones."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from shoal.clouds.local_groups import ControlGroup
from tests.contract.accounts import Local
from tests.contract.test_providers import a_batch, launch

DAEMON = """#!/bin/sh
# leaves its session, its parent and its terminal
setsid sh -c 'sleep 600 & echo $! > "$SHOAL_VM_DIR/daemon.pid"' &
exec sleep 600
"""


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    made = Local(tmp_path)
    yield made
    asyncio.run(made.provider().terminate(asyncio.run(made.provider().list())))
    until(lambda: made.left() == "")


def until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline, waiting = time.monotonic() + timeout_s, threading.Event()
    while not holds():
        assert time.monotonic() < deadline
        waiting.wait(0.02)


def vm_directory(tmp_path: Path, name: str) -> Path:
    return tmp_path / "local" / "vms" / name


def test_a_daemonised_child_ends_with_its_vm(local: Local, tmp_path: Path) -> None:
    local.boot_text = DAEMON
    (vm,) = launch(local, a_batch(local, 1)).vms
    told = vm_directory(tmp_path, vm.id) / "daemon.pid"
    until(lambda: told.exists() and told.read_text().strip() != "")
    daemon = int(told.read_text())
    asyncio.run(local.provider().terminate([vm]))
    until(lambda: not psutil.pid_exists(daemon))


def test_a_vm_whose_main_process_was_killed_is_cleaned_up_by_a_listing(
    local: Local, tmp_path: Path
) -> None:
    local.boot_text = DAEMON
    (vm,) = launch(local, a_batch(local, 1)).vms
    told = vm_directory(tmp_path, vm.id) / "daemon.pid"
    until(lambda: told.exists() and told.read_text().strip() != "")
    (main,) = [it.pid for it in local._processes() if it.cmdline() == ["sleep", "600"]][:1]
    os.kill(main, signal.SIGKILL)
    until(lambda: list(asyncio.run(local.provider().list())) == [])
    until(lambda: local.left() == "")


def test_each_vm_has_an_address_and_a_private_directory(local: Local, tmp_path: Path) -> None:
    vms = launch(local, a_batch(local, 3)).vms
    assert len({it.address for it in vms}) == 3
    for vm in vms:
        directory = vm_directory(tmp_path, vm.id)
        assert directory.stat().st_mode & 0o777 == 0o700
        assert (directory / "boot.sh").stat().st_mode & 0o777 == 0o600


def test_the_servers_secrets_do_not_reach_a_vm(
    local: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_TOKEN", "open-sesame")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open-sesame")
    local.boot_text = '#!/bin/sh\nenv > "$SHOAL_VM_DIR/env"\nexec sleep 600\n'
    (vm,) = launch(local, a_batch(local, 1)).vms
    told = vm_directory(tmp_path, vm.id) / "env"
    until(lambda: told.exists() and "SHOAL_VM_END" in told.read_text())
    assert "open-sesame" not in told.read_text()


def test_a_launch_killed_in_the_middle_is_completed_by_the_next(
    local: Local, tmp_path: Path
) -> None:
    """Killed after the directory was made, before the process was started."""
    batch = a_batch(local, 2)
    launch(local, batch)
    first = vm_directory(tmp_path, batch.instances[0]) / "vm.json"
    record = first.read_bytes()
    asyncio.run(local.provider().terminate(asyncio.run(local.provider().list())))
    until(lambda: local.left() == "")
    again = a_batch(local, 1, number=2, first=50)
    name = again.instances[0]
    directory = vm_directory(tmp_path, name)
    directory.mkdir(mode=0o700)
    (directory / "tmp").mkdir()
    (directory / "boot.sh").write_text(local.boot_text)
    told = record.replace(batch.instances[0].encode(), name.encode())
    told = told.replace(batch.id.encode(), again.id.encode())
    head, _, tail = told.partition(b'"pid":')
    (directory / "vm.json").write_bytes(head + b'"pid":0' + tail[tail.index(b",") :])
    assert [it.id for it in launch(local, again).vms] == [name]
    assert [it.running for it in asyncio.run(local.provider().list())] == [True]


def test_a_vm_over_its_memory_is_ended_by_the_kernel(local: Local, tmp_path: Path) -> None:
    name = "shoal-c-memorytest-1"
    group = ControlGroup.make(name, 64 << 20)
    try:
        if ControlGroup.of(name).pids() is None:
            pytest.skip("control groups are not to be had here")
        program = "import time\nx = bytearray(300 << 20)\ntime.sleep(60)"
        command = group.entering(["python3", "-c", program])
        process = psutil.Popen(command)
        assert process.wait(30) == -signal.SIGKILL
    finally:
        group.remove()
    assert ControlGroup.of(name).pids() is None

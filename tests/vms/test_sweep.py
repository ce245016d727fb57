"""Nothing is left of a test run, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.session import until
from tests.vms import namespaces, sweep
from tests.vms.base import cache
from tests.vms.fabric import fabric
from tests.vms.machines import VmMachines
from tests.vms.made import machine
from tests.vms.vm import Boot

pytestmark = [pytest.mark.long, pytest.mark.timeout(400), pytest.mark.usefixtures("possible")]

KILLED = """
import os, signal
from tests.vms.fabric import fabric
from tests.vms.machines import VmMachines
from tests.vms.made import machine
from tests.vms.vm import Boot
import tests.vms.sweep as sweep
with fabric() as network, VmMachines(network, boot=Boot.BARE) as machines:
    machines.start(machine("gcp", 1, "sleep infinity"))
    assert len(sweep.left(os.getpid())) > 4, sweep.left(os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_tests_that_are_killed_leave_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=Path(__file__).parents[2], stderr=subprocess.PIPE
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    until(lambda: not sweep.left(process.pid), 10, lambda: "\n".join(sweep.left(process.pid)))


def test_tests_that_end_leave_nothing() -> None:
    with fabric() as network, VmMachines(network, boot=Boot.BARE) as machines:
        machines.start(machine("azure", 1, "sleep infinity"))
        assert len(sweep.left(os.getpid())) > 4
    assert sweep.left(os.getpid()) == []


def test_what_a_dead_run_left_is_swept_by_the_next() -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    name = f"{sweep.prefix(gone.pid)}1"
    namespaces.ip(f"netns add {name}")
    (cache() / "vms" / str(gone.pid) / "1").mkdir(parents=True)
    with subprocess.Popen(namespaces.entering(name, "sleep", "60")) as sleeping:
        until(lambda: sleeping.pid in namespaces.pids(name), 5)
        sweep.sweep_the_dead()
        assert sleeping.wait(5) == -signal.SIGKILL
    assert sweep.left(gone.pid) == []

"""Takes down what a test run made: processes, namespaces, control groups, directories.

A run does so itself at its end. For one that was killed, `python -m tests.vms.sweep PID` waits
beside it: its input ends when the run does, however it ends. Whatever is still left (the machine
lost power) is found by the next run, by the number of a process that is no more.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from shoal.clouds.local_groups import ControlGroup
from tests.vms import namespaces
from tests.vms.base import cache

_NAME = re.compile(r"shoal-(\d+)-")
_END_S = 5.0


def prefix(pid: int) -> str:
    return f"shoal-{pid}-"


def link(pid: int) -> str:
    """The tests' own end of the road into their fabric."""
    return f"shoal{pid}"


def directory(pid: int) -> Path:
    """The disks of a run's VMs."""
    return cache() / "vms" / str(pid)


def left(pid: int) -> list[str]:
    """What there still is of a run, for people."""
    found = [f"namespace {name}" for name in _namespaces(pid)]
    found += [f"process {it}" for it in _processes(pid)]
    found += [f"link {it.name}" for it in Path("/sys/class/net").glob(link(pid))]
    found += [f"mount {it}" for it in _mounts(pid)]
    found += [f"control group {it}" for it in _control_groups(pid)]
    return found + ([str(directory(pid))] if directory(pid).exists() else [])


def sweep(pid: int) -> None:
    _end(lambda: _processes(pid))
    for name in _namespaces(pid):
        remove_namespace(name)
    with contextlib.suppress(RuntimeError):  # the kernel may have been quicker
        namespaces.ip(f"link del {link(pid)}")
    for found in _control_groups(pid):
        _remove_group(found)
    shutil.rmtree(directory(pid), ignore_errors=True)


def sweep_the_dead() -> None:
    named = {int(it[1]) for it in map(_NAME.match, _all_namespaces()) if it}
    disks = (cache() / "vms").glob("*")
    for pid in named | {int(it.name) for it in disks if it.name.isdigit()}:
        if not Path(f"/proc/{pid}").exists():
            sweep(pid)


def remove_namespace(name: str) -> None:
    """End every process in it, then the namespace; its links go with it."""
    _end(lambda: set(_pids(name)))
    with contextlib.suppress(RuntimeError):  # another sweep was quicker
        namespaces.ip(f"netns del {name}")


def _end(processes: Callable[[], set[int]]) -> None:
    """Until there are none: one that is being started may yet come."""
    deadline = time.monotonic() + _END_S
    while (found := processes()) and time.monotonic() < deadline:
        for it in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(it, signal.SIGKILL)
        time.sleep(0.005)


def _processes(pid: int) -> set[int]:
    """In the run's namespaces, and on their way there: these are told a VM's directory."""
    told = f"{directory(pid)}/"
    found = {it for name in _namespaces(pid) for it in _pids(name)}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(told in it for it in process.cmdline()):
                found.add(process.pid)
    return found


def _control_groups(pid: int) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"**/shoal/{prefix(pid)}*"))


def _remove_group(group: Path) -> None:
    """It can be removed once the kernel has done with its last process."""
    deadline = time.monotonic() + _END_S
    while group.exists() and time.monotonic() < deadline:
        ControlGroup.of(group.name).remove()


def _pids(name: str) -> list[int]:
    try:
        return namespaces.pids(name)
    except RuntimeError:  # it has just gone
        return []


def _namespaces(pid: int) -> list[str]:
    return [it for it in _all_namespaces() if it.startswith(prefix(pid))]


def _all_namespaces() -> list[str]:
    return sorted(os.listdir(namespaces.NAMED)) if namespaces.NAMED.exists() else []


def _mounts(pid: int) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [it.split()[1] for it in lines if str(directory(pid)) in it]


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the tests, which end by it
    sys.stdin.read()
    sweep(int(sys.argv[1]))


if __name__ == "__main__":
    main()

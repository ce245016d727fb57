"""Network namespaces by name, and why there may be none on this machine.

Everything of one test run has a name that begins with `shoal-<pid>-`, so that a later run can tell
what a dead one left (sweep.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

NAMED = Path("/run/netns")
TOOLS = ("ip", "nft", "dnsmasq", "nsenter", "unshare", "pivot_root", "mmdebstrap")
_CLONE_NEWNET = 0x40000000
_TRIAL = Path(__file__).with_name("trial.sh")


def missing() -> list[str]:
    """Programs that VMs need and this machine does not have."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def forbidden(disks: Path) -> str:
    """Why this system lets nobody make a VM with its disk there; empty: it does."""
    if sys.platform != "linux":
        return "VMs are made of Linux namespaces"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    disks.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=disks) as place:
        spaces = ("--net", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork")
        command = ["unshare", *spaces, "sh", str(_TRIAL), place]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"this system forbids it: {tried.stderr.strip()}" if tried.returncode else ""


def ip(*lines: str, within: str = "") -> None:
    """Commands of `ip`, one a line, all in one process."""
    namespace = ["-n", within] if within else []
    run(["ip", *namespace, "-batch", "-"], "\n".join(lines))


def run(command: list[str], told: str = "") -> str:
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}\n{told}")
    return done.stdout


def entering(namespace: str, *command: str) -> list[str]:
    """The command, run in the namespace. (`ip netns exec` would hide the control groups.)"""
    return ["nsenter", f"--net={NAMED / namespace}", *command]


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread in that network namespace: for opening sockets, which stay there."""
    with open("/proc/thread-self/ns/net") as home, open(NAMED / namespace) as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def listener(namespace: str, address: str, port: int) -> socket.socket:
    with inside(namespace):
        return socket.create_server((address, port), backlog=128)


def pids(namespace: str) -> list[int]:
    return [int(line) for line in run(["ip", "netns", "pids", namespace]).split()]


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")

"""One VM: namespaces, an overlay root, firmware, a memory limit, and its own init.

It boots as soon as it is made, and is gone, with all it had, when it is stopped or when its process
1 ends; the second is told to whoever made it.
"""

from __future__ import annotations

import enum
import shutil
import subprocess
import threading
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import psutil

from shoal.clouds.local_groups import ControlGroup
from tests.doubles.machines import Machine
from tests.vms import firmware, namespaces
from tests.vms.fabric import NETWORKS, Fabric
from tests.vms.metadata import azure, ec2, gce
from tests.vms.metadata.server import Metadata

_HERE = Path(__file__).parent
_UNSHARE = ("--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child")


_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


class Boot(enum.Enum):
    CLOUD_INIT = "init.sh"  # 4-6 s, 5 CPU-seconds
    BARE = "bare_init.sh"  # 0.1 s: runs the user data at once


class Vm:
    def __init__(
        self, machine: Machine, fabric: Fabric, image: Path, boot: Boot, memory_bytes: int
    ) -> None:
        self.machine = machine
        self._fabric = fabric
        self._metadata, names = _metadata(machine)
        fabric.metadata.welcome(machine.address, self._metadata)
        self._namespace = fabric.attach(machine.address, machine.mac, names)
        self._directory = fabric.directory / self._namespace
        self._group = ControlGroup.make(self._namespace, memory_bytes)
        self._furnish(boot)
        if boot is Boot.BARE:
            self._configure_network()
        self._process = self._start(image)
        self._lock = threading.Lock()
        self._gone = False

    @property
    def disk(self) -> Path:
        """What the VM has written, below its root."""
        return self._directory / "upper"

    def console(self) -> str:
        return (self._directory / "console").read_text(errors="replace")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command inside, by root."""
        first = psutil.Process(self._process.pid).children()[0].pid
        spaces = ("--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd")
        return subprocess.run(
            ["nsenter", f"--target={first}", *spaces, "env", "-i", _PATH, "HOME=/root", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def warn(self, at: datetime) -> None:
        self._metadata.warn(at)

    def watch(self, ended: Callable[[], None]) -> threading.Thread:
        """`ended` is called when its process 1 ends by itself, not when it is stopped."""
        name = f"watch {self._namespace}"
        watching = threading.Thread(target=self._watch, args=(ended,), name=name, daemon=True)
        watching.start()
        return watching

    def stop(self) -> bool:
        """False: it was gone already."""
        with self._lock:
            if self._gone:
                return False
            self._gone = True
        self._process.kill()
        self._process.wait()
        self._fabric.metadata.forget(self.machine.address)
        self._fabric.detach(self._namespace, self.machine.address, self.machine.mac)
        self._group.remove()
        for part in ("upper", "work", "root"):
            shutil.rmtree(self._directory / part, ignore_errors=True)
        return True

    def _watch(self, ended: Callable[[], None]) -> None:
        self._process.wait()
        if self.stop():
            ended()

    def _furnish(self, boot: Boot) -> None:
        for part in ("upper/etc", "work", "root", "sys", "dmi"):
            (self._directory / part).mkdir(parents=True)
        for name, words in firmware.dmi(self.machine).items():
            (self._directory / "dmi" / name).write_text(f"{words}\n")
        etc = self.disk / "etc"
        (etc / "resolv.conf").write_text(f"nameserver {_router(self.machine.address)}\n")
        _program(etc / "vm-init", (_HERE / boot.value).read_bytes())
        if boot is Boot.BARE:
            _program(etc / "user-data", self.machine.user_data)
        if self.machine.cloud == "azure":  # which has it on a virtual disc
            seed = self.disk / "var/lib/cloud/seed/azure"
            seed.mkdir(parents=True)
            (seed / "ovf-env.xml").write_text(azure.provisioning_media(self.machine))

    def _configure_network(self) -> None:
        bits = next(b for _, _, b, router in NETWORKS if router == _router(self.machine.address))
        namespaces.ip(
            f"addr add {self.machine.address}/{bits} dev eth0",
            "link set eth0 up",
            f"route add default via {_router(self.machine.address)}",
            within=self._namespace,
        )

    def _start(self, image: Path) -> subprocess.Popen[bytes]:
        room = ("sh", str(_HERE / "room.sh"), str(self._directory), str(image), self.machine.name)
        command = namespaces.entering(self._namespace, "unshare", *_UNSHARE, *room)
        with (self._directory / "console").open("wb") as console:
            return subprocess.Popen(
                self._group.entering(command),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )


def _metadata(machine: Machine) -> tuple[Metadata, list[str]]:
    """And the names that the cloud's DNS has for it."""
    match machine.cloud:
        case "gcp":
            return gce.GceMetadata(machine), gce.names(machine)
        case "aws":
            return ec2.Ec2Metadata(machine), ec2.names(machine)
        case "azure":
            return azure.AzureMetadata(machine), azure.names(machine)
        case other:
            raise ValueError(f"no cloud {other!r}")


def _router(address: str) -> str:
    for network, _, bits, router in NETWORKS:
        if ip_address(address) in ip_network(f"{network}/{bits}"):
            return router
    raise ValueError(f"{address} is in none of the fabric's networks")


def _program(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)

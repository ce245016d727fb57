"""The local cloud's VMs on disk and as processes.

    vms/<name>/vm.json     what it is, and its main process once that was started
    vms/<name>/boot.sh     the boot text, run in a session of its own
    ended/<name>/          the tombstone: vm.json and the console log, kept for a day

A process belongs to a VM if it is in the VM's control group, or carries its name in the
environment: both survive daemonising and the death of the server.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import psutil

from shoal.clouds.local_groups import ControlGroup
from shoal.clouds.local_offers import REGION, ZONE
from shoal.core.records import Batch, Offer, Vm
from shoal.wire.boot import AGENT_PORT
from shoal.wire.ids import InstallationId, InstanceId

GRACE_S = 0.5  # between SIGTERM to the agent and SIGKILL to all that is left
_TOMBSTONE_S = 86_400.0
_HALF_MADE_S = 10.0
_HALF_REMOVED_S = 60.0
_MARKER = "SHOAL_VM_NAME"
_PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PASSED_ON_PREFIXES = ("UV_", "HTTP_", "HTTPS_", "NO_PROXY", "http_", "https_", "no_proxy", "XDG_")


class LocalVm(msgspec.Struct, frozen=True):
    """vm.json. `pid` is 0 until its process is started; `process_started` guards against reuse."""

    name: str
    installation: str
    batch: str
    cluster: str
    created_at: datetime
    machine_type: str
    vcpu: int
    memory_bytes: int
    price_uusd_per_hour: int | None
    address: str = ""
    pid: int = 0
    process_started: float = 0.0

    @classmethod
    def new(cls, name: InstanceId, batch: Batch, offer: Offer, now: datetime) -> LocalVm:
        return cls(
            name=name,
            installation="",
            batch=batch.id,
            cluster=batch.cluster,
            created_at=now,
            machine_type=offer.machine_type,
            vcpu=offer.vcpu,
            memory_bytes=offer.memory_bytes,
            price_uusd_per_hour=offer.price_uusd_per_hour,
        )


class VmDirectories:
    def __init__(self, root: Path, installation: InstallationId, environments: Path) -> None:
        self._vms, self._ended = root / "vms", root / "ended"
        self._installation = installation
        self._environments = environments
        for directory in (root, self._vms, self._ended):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def known(self, name: str) -> bool:
        return (self._vms / name).exists() or (self._ended / name).exists()

    def promised_bytes(self) -> int:
        """Memory of all VMs of this machine's root, whosever they are."""
        return sum(it.memory_bytes for it in self._all())

    def start(self, vm: LocalVm, boot_text: str, python: Path) -> Vm | None:
        """Made and started, unless it was before; None if it has ended since."""
        if (self._ended / vm.name).exists():
            return None
        directory = self._vms / vm.name
        recorded = self._read(directory)
        if recorded is None:
            vm = msgspec.structs.replace(
                vm, installation=self._installation, address=self._address(vm.name)
            )
            recorded = self._make(directory, vm, boot_text)
        if not recorded.pid:
            recorded = self._run(directory, recorded, python)
        return _shown(recorded, running=True)

    def list(self) -> Sequence[Vm]:
        """Ours; those whose main process is dead are cleaned up, and not running."""
        shown = []
        for vm in self._all():
            if vm.installation != self._installation:
                continue
            running = _alive(vm)
            over = not running and (vm.pid or _age(vm) > _HALF_MADE_S)
            if over and self._finish(vm, grace_s=0.0):
                continue
            shown.append(_shown(vm, running=running))
        self._prune()
        return shown

    def end(self, names: Sequence[str]) -> None:
        """Asks; threads see to it, and the next listing to what a killed server left."""
        for name in names:
            vm = self._read(self._vms / name)
            if vm is not None and vm.installation == self._installation:
                threading.Thread(
                    target=self._finish, args=(vm,), kwargs={"grace_s": GRACE_S}, daemon=True
                ).start()

    def _make(self, directory: Path, vm: LocalVm, boot_text: str) -> LocalVm:
        """Whole or not at all: the directory is the record that this VM was asked for."""
        draft = self._vms / f".{vm.name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        (draft / "tmp").mkdir()
        (draft / "vm.json").write_bytes(msgspec.json.encode(vm))
        with os.fdopen(os.open(draft / "boot.sh", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(boot_text)
        try:
            draft.rename(directory)
        except OSError:  # another server was quicker
            shutil.rmtree(draft, ignore_errors=True)
            return self._read(directory) or vm
        return vm

    def _run(self, directory: Path, vm: LocalVm, python: Path) -> LocalVm:
        running = next(iter(self._processes(vm)), None)  # started, and then its server was killed
        if running is None:
            group = ControlGroup.make(vm.name, vm.memory_bytes)
            with open(directory / "console.log", "ab") as console:
                process = subprocess.Popen(
                    group.entering(["sh", str(directory / "boot.sh")]),
                    cwd=directory,
                    env=self._environment(directory, vm, python),
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            threading.Thread(target=process.wait, daemon=True).start()  # no zombie stays
            running = psutil.Process(process.pid)
        started = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            started = running.create_time()
        vm = msgspec.structs.replace(vm, pid=running.pid, process_started=started)
        draft = directory / ".vm.json"
        draft.write_bytes(msgspec.json.encode(vm))
        draft.rename(directory / "vm.json")
        return vm

    def _environment(self, directory: Path, vm: LocalVm, python: Path) -> dict[str, str]:
        """Little of the server's own: what an installer and a locale need."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
        }
        return kept | {
            _MARKER: vm.name,
            "SHOAL_VM_DIR": str(directory),
            "SHOAL_VM_ADDRESS": vm.address,
            "SHOAL_AGENT_PYTHON": str(python),
            "SHOAL_VM_CPUS": str(vm.vcpu),
            "SHOAL_VM_MEMORY_BYTES": str(vm.memory_bytes),
            "SHOAL_ENVIRONMENTS": str(self._environments),
            "SHOAL_VM_END": "exit",
            "TMPDIR": str(directory / "tmp"),
        }

    def _finish(self, vm: LocalVm, *, grace_s: float) -> bool:
        """End every process of it, then its directory; True when nothing is left."""
        if grace_s and _alive(vm):
            with contextlib.suppress(ProcessLookupError):
                os.kill(vm.pid, signal.SIGTERM)
            with contextlib.suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
                psutil.Process(vm.pid).wait(grace_s)
        deadline = time.monotonic() + 5.0
        while left := list(self._processes(vm)):
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=0.2)
            if time.monotonic() > deadline:
                return False
        ControlGroup.of(vm.name).remove()
        self._bury(vm)
        return True

    def _bury(self, vm: LocalVm) -> None:
        tombstone, directory = self._ended / vm.name, self._vms / vm.name
        tombstone.mkdir(mode=0o700, exist_ok=True)
        for name in ("vm.json", "console.log"):
            with contextlib.suppress(OSError):
                shutil.copyfile(directory / name, tombstone / name)
        ended = self._vms / f".ended.{vm.name}"
        with contextlib.suppress(OSError):
            directory.rename(ended)
            threading.Thread(target=_remove, args=(ended,), daemon=True).start()

    def _processes(self, vm: LocalVm) -> Iterator[psutil.Process]:
        """All that belong to it, the dead and the server's own excepted."""
        pids = ControlGroup.of(vm.name).pids()
        if pids is not None:
            for pid in pids:
                with contextlib.suppress(psutil.NoSuchProcess):
                    yield psutil.Process(pid)
            return
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if process.environ().get(_MARKER) == vm.name:
                    yield process

    def _address(self, name: str) -> str:
        """On Linux an address of its own; elsewhere a free port."""
        if sys.platform != "linux":
            with socket.create_server(("127.0.0.1", 0)) as probe:
                return f"127.0.0.1:{probe.getsockname()[1]}"
        taken = {it.address for it in self._all()}
        salt = 0
        while True:
            digest = hashlib.sha256(f"{name} {salt}".encode()).digest()
            host = f"127.{digest[0] % 254 + 1}.{digest[1]}.{digest[2] % 254 + 1}"
            if f"{host}:{AGENT_PORT}" not in taken:
                return f"{host}:{AGENT_PORT}"
            salt += 1

    def _all(self) -> Iterator[LocalVm]:
        for entry in os.scandir(self._vms):
            if not entry.name.startswith("."):
                vm = self._read(Path(entry.path))
                if vm is not None:
                    yield vm

    def _read(self, directory: Path) -> LocalVm | None:
        try:
            return msgspec.json.decode((directory / "vm.json").read_bytes(), type=LocalVm)
        except (OSError, msgspec.DecodeError):
            return None

    def _prune(self) -> None:
        """Old tombstones, and what a killed server was about to remove."""
        for entry in os.scandir(self._ended):
            if time.time() - entry.stat().st_mtime > _TOMBSTONE_S:
                shutil.rmtree(entry.path, ignore_errors=True)
        for left in self._vms.glob(".ended.*"):
            if time.time() - _changed_at(left) > _HALF_REMOVED_S:
                _remove(left)


def _remove(tree: Path) -> None:
    """Thousands of files, while the next cluster may be starting: by a process that steps back."""
    try:
        subprocess.run(["nice", "-n", "19", "rm", "-rf", "--", tree], check=False)
    except FileNotFoundError:  # Windows
        shutil.rmtree(tree, ignore_errors=True)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_ctime
    except FileNotFoundError:
        return time.time()


def _alive(vm: LocalVm) -> bool:
    if not vm.pid:
        return False
    try:
        process = psutil.Process(vm.pid)
        same = bool(abs(process.create_time() - vm.process_started) < 1.0)
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _age(vm: LocalVm) -> float:
    return time.time() - vm.created_at.timestamp()


def _shown(vm: LocalVm, *, running: bool) -> Vm:
    return Vm(
        id=vm.name,
        name=vm.name,
        batch=vm.batch,
        cluster=vm.cluster,
        created_at=vm.created_at,
        running=running,
        address=vm.address,
        region=REGION,
        zone=ZONE,
        machine_type=vm.machine_type,
        price_uusd_per_hour=vm.price_uusd_per_hour,
    )

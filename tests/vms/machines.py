"""What a cloud's double calls when it has created or ended a VM: here the VM then really runs.

with fabric() as network, VmMachines(network, ended=double.power_off) as machines:
    double.machines = machines
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Collection
from datetime import datetime

from tests.doubles.machines import Machine
from tests.vms.base import image
from tests.vms.fabric import Fabric
from tests.vms.vm import Boot, Vm

MOST = 5  # cloud-init takes 5 CPU-seconds a VM


class VmMachines:
    """Implements `Machines`. `ended` is told the id of a VM that powered itself off; `archs` are
    those that VMs may have besides this machine's own."""

    def __init__(
        self,
        fabric: Fabric,
        *,
        ended: Callable[[str], None] = lambda id: None,
        boot: Boot = Boot.CLOUD_INIT,
        memory_bytes: int = 2 * 2**30,
        archs: Collection[str] = (),
    ) -> None:
        self._fabric = fabric
        self._ended = ended
        self._boot = boot
        self._memory_bytes = memory_bytes
        self._images = {it: image(it) for it in {platform.machine(), *archs}}
        self._vms: dict[str, Vm] = {}
        self._watching: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.consoles: dict[str, str] = {}  # by name, of those that are gone

    def start(self, machine: Machine) -> None:
        with self._lock:
            if self._boot is Boot.CLOUD_INIT and len(self._vms) >= MOST:
                raise RuntimeError(f"at most {MOST} VMs with cloud-init at once")
            vm = Vm(
                machine, self._fabric, self._images[machine.arch], self._boot, self._memory_bytes
            )
            self._vms[machine.id] = vm
            self._watching.append(vm.watch(lambda: self._is_off(vm)))

    def stop(self, id: str) -> None:
        """A VM that is gone already is none to stop."""
        with self._lock:
            vm = self._vms.pop(id, None)
        if vm is not None:
            self._keep_console(vm)
            vm.stop()

    def warn(self, id: str, at: datetime) -> None:
        """Its metadata says from now on that the cloud will take it, then."""
        self.vm(id).warn(at)

    def vm(self, id: str) -> Vm:
        with self._lock:
            return self._vms[id]

    def running(self) -> list[str]:
        with self._lock:
            return sorted(self._vms)

    def close(self) -> None:
        for id in self.running():
            self.stop(id)
        for it in self._watching:
            it.join()

    def __enter__(self) -> VmMachines:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _is_off(self, vm: Vm) -> None:
        with self._lock:
            self._vms.pop(vm.machine.id, None)
        self._keep_console(vm)
        self._ended(vm.machine.id)

    def _keep_console(self, vm: Vm) -> None:
        self.consoles[vm.machine.name] = vm.console()

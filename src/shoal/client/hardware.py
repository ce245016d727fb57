"""What one VM of each role must offer, from the arguments that say so.

Pure. Contradictions that can be seen without a catalog are refused: machine types with sizes, and
two kinds of processor for one environment.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shoal.client import machine_names, sizes, values
from shoal.errors import InvalidRequest
from shoal.wire.specs import Cloud, Hardware


def worker(cloud: Cloud, given: Mapping[str, object]) -> Hardware:
    gpu_type = values.text("worker_gpu_type", given["worker_gpu_type"])
    gpu = _gpu(given["worker_gpu"], gpu_type)
    hardware = Hardware(
        cpu=sizes.cpu("worker_cpu", given["worker_cpu"]),
        memory_bytes=sizes.memory("worker_memory", given["worker_memory"]),
        vm_types=values.names("worker_vm_types", given["worker_vm_types"]),
        gpu=gpu,
        gpu_type=gpu_type,
        arm=values.flag("arm", given["arm"]),
        disk_gib=sizes.disk_gib("worker_disk_size", given["worker_disk_size"]),
    )
    if cloud is Cloud.LOCAL and hardware.disk_gib is not None:
        raise InvalidRequest(
            f"worker_disk_size={given['worker_disk_size']!r} with cloud='local': its VMs are "
            "processes on this machine's own disk",
            hint="Leave it out (also from shoal.worker-disk-size), or choose another cloud",
        )
    return _agreeing("worker", cloud, hardware)


def scheduler(cloud: Cloud, given: Mapping[str, object]) -> Hardware:
    hardware = Hardware(
        cpu=sizes.cpu("scheduler_cpu", given["scheduler_cpu"]),
        memory_bytes=sizes.memory("scheduler_memory", given["scheduler_memory"]),
        vm_types=values.names("scheduler_vm_types", given["scheduler_vm_types"]),
        arm=values.flag("arm", given["arm"]),
    )
    return _agreeing("scheduler", cloud, hardware)


def for_one_environment(
    cloud: Cloud, worker: Hardware, scheduler: Hardware
) -> tuple[Hardware, Hardware]:
    """Both roles on one kind of processor, since they share an environment: where one is ARM by
    its machine types, so is the other."""
    named = {
        role: machine_names.is_arm(cloud, it.vm_types[0])
        for role, it in (("worker", worker), ("scheduler", scheduler))
        if it.vm_types
    }
    if True in named.values() and False in named.values():
        raise InvalidRequest(
            f"worker_vm_types ({', '.join(worker.vm_types)}) and scheduler_vm_types "
            f"({', '.join(scheduler.vm_types)}) are of two kinds of processor",
            hint="One environment serves one kind of processor: name ARM or x86 for both",
        )
    if True not in named.values():
        return worker, scheduler
    return msgspec.structs.replace(worker, arm=True), msgspec.structs.replace(scheduler, arm=True)


def _agreeing(role: str, cloud: Cloud, hardware: Hardware) -> Hardware:
    """Contradictions are refused. Sizes that nothing says are the server's to choose: it knows
    what there is."""
    if hardware.vm_types and (hardware.cpu or hardware.memory_bytes):
        raise InvalidRequest(
            f"{role}_vm_types together with {role}_cpu or {role}_memory",
            hint="Machine types have a size of their own: give one or the other",
        )
    _same_processor(role, cloud, hardware)
    return hardware


def _same_processor(role: str, cloud: Cloud, hardware: Hardware) -> None:
    arm = [name for name in hardware.vm_types if machine_names.is_arm(cloud, name) is True]
    x86 = [name for name in hardware.vm_types if machine_names.is_arm(cloud, name) is False]
    if arm and x86:
        raise InvalidRequest(
            f"{role}_vm_types mixes ARM ({', '.join(arm)}) and x86 ({', '.join(x86)})",
            hint="One environment serves one kind of processor: keep one kind",
        )
    if hardware.arm and x86:
        raise InvalidRequest(
            f"arm=True, but {', '.join(x86)} in {role}_vm_types is x86",
            hint="Name ARM machine types, or leave arm out",
        )


def _gpu(given: object, gpu_type: str | None) -> int:
    if given is None or given is False:
        if gpu_type and given is False:
            raise InvalidRequest(f"worker_gpu=False with worker_gpu_type={gpu_type!r}")
        return 1 if gpu_type else 0
    number = 1 if given is True else sizes.count("worker_gpu", given)
    if not 0 <= number <= 16:
        raise InvalidRequest(f"worker_gpu={given!r}: a machine has between 0 and 16 GPUs")
    return number

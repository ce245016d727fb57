"""What this VM uses: CPU by mode, memory, disk, network, GPU, and what the kernel killed.

A cloud's VM is a whole machine, and the machine's counters are its own. A VM of the local cloud
shares one: there only what the agent's own processes use is counted, and network is not known.
psutil counts from the machine's start; a sample is the difference from the one before.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable

import msgspec
import psutil

from shoal.agent import memory
from shoal.agent.clock import Clock
from shoal.agent.vm import Vm
from shoal.wire.telemetry import HostSample

EVERY_S = 5.0
_GPU_TIMEOUT_S = 2.0


class Counters(msgspec.Struct, frozen=True):
    """Since some beginning: seconds of CPU, bytes."""

    user_s: float = 0.0
    system_s: float = 0.0
    iowait_s: float = 0.0
    steal_s: float = 0.0
    disk_read: int = 0
    disk_written: int = 0
    net_in: int = 0
    net_out: int = 0


class Levels(msgspec.Struct, frozen=True):
    memory_used: int = 0
    memory_limit: int = 0
    disk_used: int = 0
    disk_total: int = 0


class Gpu(msgspec.Struct, frozen=True):
    percent: float = 0.0
    memory_used: int = 0
    memory_total: int = 0


class HostSampler:
    def __init__(
        self,
        vm: Vm,
        clock: Clock,
        *,
        counters: Callable[[], Counters] | None = None,
        levels: Callable[[], Levels] | None = None,
        gpu: Callable[[], Gpu] | None = None,
    ) -> None:
        source = _Machine(vm) if vm.whole_machine else _Tree(vm)
        self._vm = vm
        self._clock = clock
        self._counters = counters or source.counters
        self._levels = levels or source.levels
        self._gpu = gpu or _gpu
        self._group = memory.own_group()
        self._kills_before = self._kills()
        self._before = self._counters()
        self._before_s = clock.monotonic_s()

    def sample(self) -> HostSample:
        """What was used since the sample before."""
        now, now_s = self._counters(), self._clock.monotonic_s()
        before, passed_s = self._before, max(now_s - self._before_s, 0.001)
        self._before, self._before_s = now, now_s
        levels, gpu = self._levels(), self._gpu()
        cpus = self._vm.cpus or 1

        def share(field: str) -> float:
            spent = float(getattr(now, field) - getattr(before, field))
            return round(min(max(100 * spent / passed_s / cpus, 0.0), 100.0), 1)

        def rate(field: str) -> float:
            """Counters may go back: an interface or a process went away."""
            moved = float(getattr(now, field) - getattr(before, field))
            return round(max(moved, 0.0) / passed_s)

        return HostSample(
            at=self._clock.now(),
            instance=self._vm.name,
            cpus=self._vm.cpus,
            cpu_user_percent=share("user_s"),
            cpu_system_percent=share("system_s"),
            cpu_iowait_percent=share("iowait_s"),
            cpu_steal_percent=share("steal_s"),
            memory_used_bytes=levels.memory_used,
            memory_limit_bytes=levels.memory_limit,
            disk_used_bytes=levels.disk_used,
            disk_total_bytes=levels.disk_total,
            disk_read_bps=rate("disk_read"),
            disk_write_bps=rate("disk_written"),
            net_in_bps=rate("net_in"),
            net_out_bps=rate("net_out"),
            gpu_percent=gpu.percent,
            gpu_memory_used_bytes=gpu.memory_used,
            gpu_memory_total_bytes=gpu.memory_total,
            oom_kills=max(self._kills() - self._kills_before, 0),
        )

    def _kills(self) -> int:
        return (self._group.oom_kills() if self._group else None) or 0


class _Machine:
    """A VM that is the machine."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm

    def counters(self) -> Counters:
        cpu = psutil.cpu_times()
        disk = psutil.disk_io_counters()
        nets = psutil.net_io_counters(pernic=True)
        outside = [it for name, it in nets.items() if not name.startswith("lo")]
        return Counters(
            user_s=cpu.user + getattr(cpu, "nice", 0.0),
            system_s=cpu.system + getattr(cpu, "irq", 0.0) + getattr(cpu, "softirq", 0.0),
            iowait_s=getattr(cpu, "iowait", 0.0),
            steal_s=getattr(cpu, "steal", 0.0),
            disk_read=disk.read_bytes if disk else 0,
            disk_written=disk.write_bytes if disk else 0,
            net_in=sum(it.bytes_recv for it in outside),
            net_out=sum(it.bytes_sent for it in outside),
        )

    def levels(self) -> Levels:
        seen = psutil.virtual_memory()
        limit = self._vm.memory_bytes or seen.total
        return _with_disk(self._vm, int(seen.total - seen.available), min(limit, seen.total))


class _Tree:
    """A VM that is the agent and all below it. What a process had used is lost when it ends, so
    sums are kept of what each used more than at the look before."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._agent = psutil.Process()
        self._known: dict[int, Counters] = {}
        self._sum = Counters()
        self._memory = 0

    def counters(self) -> Counters:
        seen: dict[int, Counters] = {}
        self._memory = 0
        for process in [self._agent, *self._agent.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                seen[process.pid] = _used_by(process)
                self._memory += process.memory_info().rss
        for pid, used in seen.items():
            before = self._known.get(pid, Counters())
            if used.user_s < before.user_s:  # another process under the same number
                before = Counters()
            self._sum = _added(self._sum, before, used)
        self._known = seen
        return self._sum

    def levels(self) -> Levels:
        return _with_disk(self._vm, self._memory, self._vm.memory_bytes)


def _used_by(process: psutil.Process) -> Counters:
    cpu = process.cpu_times()
    read = written = 0
    with contextlib.suppress(psutil.Error, AttributeError):  # macOS does not tell
        disk = process.io_counters()
        read, written = disk.read_bytes, disk.write_bytes
    return Counters(cpu.user, cpu.system, disk_read=read, disk_written=written)


def _added(total: Counters, before: Counters, now: Counters) -> Counters:
    return msgspec.structs.replace(
        total,
        user_s=total.user_s + now.user_s - before.user_s,
        system_s=total.system_s + now.system_s - before.system_s,
        disk_read=total.disk_read + now.disk_read - before.disk_read,
        disk_written=total.disk_written + now.disk_written - before.disk_written,
    )


def _with_disk(vm: Vm, memory_used: int, memory_limit: int) -> Levels:
    try:
        disk = psutil.disk_usage(str(vm.directory))
    except OSError:
        return Levels(memory_used, memory_limit)
    return Levels(memory_used, memory_limit, disk.used, disk.total)


def _gpu() -> Gpu:
    """Of all GPUs together, by the driver's own tool; none where there is no such tool."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Gpu()
    asked = "utilization.gpu,memory.used,memory.total"
    try:
        told = subprocess.run(
            [tool, f"--query-gpu={asked}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_GPU_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return Gpu()
    return gpus_from(told.stdout)


def gpus_from(text: str) -> Gpu:
    """`percent, MiB, MiB` a line; what a GPU does not tell is "[N/A]"."""
    rows = [[_number(it) for it in line.split(",")] for line in text.splitlines() if line.strip()]
    whole = [it for it in rows if len(it) == 3]
    if not whole:
        return Gpu()
    percents, used, total = zip(*whole, strict=True)
    return Gpu(sum(percents) / len(whole), int(sum(used)) << 20, int(sum(total)) << 20)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0

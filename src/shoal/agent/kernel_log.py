"""What the kernel says about memory: which process it ended, and how much that one had.

Read from /dev/kmsg of a machine that is a VM of its own; where that may not be read (a container,
another system) nothing is. One read gives one record: `priority,number,time,flags;message`, then
lines of its own that begin with a blank (Documentation/ABI/testing/dev-kmsg).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator

from shoal.agent.vm import Vm

EVERY_S = 2.0
_RECORD_BYTES = 8_192
_MOST_AT_ONCE = 1_000
_TELLING = ("oom-kill", "out of memory", "killed process", "oom_reaper", "memory cgroup out")


class KernelLog:
    def __init__(self, descriptor: int) -> None:
        """Readable without waiting; what is in it already has been told to somebody else."""
        self._descriptor = descriptor

    def news(self) -> Iterator[str]:
        for _ in range(_MOST_AT_ONCE):
            try:
                record = os.read(self._descriptor, _RECORD_BYTES)
            except BlockingIOError:
                return
            except BrokenPipeError:  # records were overwritten before they were read
                continue
            if not record:
                return
            if (message := about_memory(record)) is not None:
                yield message


async def listen(vm: Vm, tell: Callable[[str], None]) -> None:
    """Until cancelled."""
    log = _open() if vm.whole_machine else None
    while True:
        await asyncio.sleep(EVERY_S)
        for line in log.news() if log else ():
            tell(line)


def _open() -> KernelLog | None:
    try:
        descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(descriptor, 0, os.SEEK_END)
    except OSError:
        return None
    return KernelLog(descriptor)


def about_memory(record: bytes) -> str | None:
    """The message, if it is about the end of memory."""
    _, mark, rest = record.decode(errors="replace").partition(";")
    message = rest.partition("\n")[0]
    told = mark and any(it in message.lower() for it in _TELLING)
    return message if told else None

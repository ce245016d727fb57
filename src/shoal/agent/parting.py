"""How a Dask process ended: what was seen of it while it ran, and the reason that follows."""

from __future__ import annotations

import msgspec

from shoal.agent import memory
from shoal.wire.telemetry import Loss


class Parting(msgspec.Struct, frozen=True):
    """In words, and by which of the reasons that are told apart."""

    why: str
    loss: Loss


class Watched:
    """What is known about the process that runs now."""

    def __init__(self) -> None:
        self.limit_bytes = 0
        self.terminate_bytes = 0  # 0: never
        self.last_bytes = 0
        self.failure = ""  # in its own words
        self.retired = False


class Kills:
    """Those by the kernel for memory, in the VM's own control group, since this was made."""

    def __init__(self, group: memory.Group | None) -> None:
        self._group = group
        self._before = group.oom_kills() if group else None

    def one(self) -> bool:
        now = self._group.oom_kills() if self._group else None
        return self._before is not None and (now or 0) > self._before

    def limit(self) -> str:
        """In words; empty: not known."""
        limit_bytes = self._group.limit_bytes() if self._group else None
        return memory.words(limit_bytes) if limit_bytes else ""


def parting(status: int, killed_for: str, watched: Watched, kills: Kills) -> Parting:
    """`killed_for`: why the agent itself ended it, which is only for memory."""
    if watched.failure:
        return Parting(watched.failure, Loss.CRASHED)
    if killed_for:
        return Parting(f"ended by the agent: {killed_for}", Loss.MEMORY)
    if status == -9 and kills.one():
        limit = kills.limit()
        of = f" of {limit}" if limit else ""
        used = memory.words(watched.last_bytes)
        return Parting(
            f"killed by the kernel for memory: it used {used}{of} when last looked at", Loss.MEMORY
        )
    if status < 0:
        return Parting(f"killed by signal {-status}", Loss.CRASHED)
    if status == 0:
        return Parting("closed by Dask", Loss.RETIRED if watched.retired else Loss.CLOSED)
    return Parting(f"ended with status {status}", Loss.CRASHED)

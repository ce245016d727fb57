"""Processes that outlive their parents: whatever a user's code started on this VM ends with it.

On Linux the agent is the reaper of its descendants: when a Dask process dies, what it had started
becomes the agent's child, and can be found and ended. Elsewhere there is no such rule, and a
descendant that let go of its parents is lost sight of.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Collection

import psutil

from shoal.agent.standing import Use

_FILES = 65_536
_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def adopt_descendants() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def allow_many_files() -> None:
    """A head and its scheduler hold several connections to each worker; 1024 is a usual limit.
    Children inherit it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def children() -> dict[int, psutil.Process]:
    """This process's own children by pid, adopted ones included."""
    return {it.pid: it for it in psutil.Process().children()}


def end_orphans(known: Collection[int]) -> int:
    """End what a Dask process left behind: children of ours that we did not start. How many."""
    orphans = [process for pid, process in children().items() if pid not in known]
    _kill(orphans)
    return len(orphans)


def end_all() -> None:
    """End everything below this process, however it was started."""
    while left := psutil.Process().children(recursive=True):
        _kill(left)


def _kill(processes: Collection[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    for process in processes:
        _reap(process.pid)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:  # not ours: its own parent reaps it, or we do when it has died
        return


class Sampler:
    """What one process and all below it use. psutil compares with its own last look."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def memory_bytes(self) -> int:
        """Of the process alone: what Dask's own limits are about."""
        try:
            return int(self._process.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def use(self, limit_bytes: int) -> Use:
        try:
            cpu_percent = float(self._process.cpu_percent())
        except psutil.NoSuchProcess:
            return Use()
        return Use(cpu_percent, self.memory_bytes(), limit_bytes)

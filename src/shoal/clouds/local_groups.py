"""A VM's memory limit and its list of processes, by a control group where the system allows one.

Version 1 (a `memory` hierarchy) and version 2 (unified). Elsewhere the agent watches memory by
itself, and processes are found by their environment.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


class ControlGroup:
    """`path` is None where there is none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @classmethod
    def of(cls, name: str) -> ControlGroup:
        path = _base() / "shoal" / name if _base() is not None else None  # type: ignore[operator]
        return cls(path if path is not None and path.is_dir() else None)

    @classmethod
    def make(cls, name: str, memory_bytes: int) -> ControlGroup:
        base = _base()
        if base is None:
            return cls(None)
        path = base / "shoal" / name
        limit = "memory.limit_in_bytes" if base == _V1 else "memory.max"
        try:
            path.mkdir(parents=True, exist_ok=True)
            if base == _V2:
                (base / "shoal" / "cgroup.subtree_control").write_text("+memory")
            (path / limit).write_text(str(memory_bytes))
        except OSError:
            with contextlib.suppress(OSError):
                path.rmdir()
            return cls(None)
        return cls(path)

    def entering(self, command: Sequence[str]) -> list[str]:
        """The command, run inside the group."""
        if self._path is None:
            return list(command)
        procs = self._path / "cgroup.procs"
        return ["sh", "-c", f'echo $$ > "{procs}"; exec "$@"', "sh", *command]

    def pids(self) -> list[int] | None:
        if self._path is None:
            return None
        try:
            return [int(line) for line in (self._path / "cgroup.procs").read_text().split()]
        except OSError:
            return None

    def remove(self) -> None:
        """The kernel may need a moment after the last process."""
        for _ in range(20):
            if self._path is None or not self._path.exists():
                return
            with contextlib.suppress(OSError):
                os.rmdir(self._path)
                return
            time.sleep(0.01)


def version() -> int | None:
    """Of the control groups that may be made here."""
    return {_V1: 1, _V2: 2}.get(_base() or Path())


def _base() -> Path | None:
    if (_V1 / "memory.limit_in_bytes").exists() and os.access(_V1, os.W_OK):
        return _V1
    if (_V2 / "cgroup.controllers").exists() and os.access(_V2, os.W_OK):
        return _V2
    return None

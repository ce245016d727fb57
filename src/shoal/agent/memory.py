"""Memory: what the kernel allows this process tree, and what it did when that was not enough.

Linux control groups of both versions. Elsewhere, and where nothing is limited, all answers are
`None` and the agent's own watch is what there is.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

_ROOT = Path("/sys/fs/cgroup")
_UNLIMITED_BYTES = 2**60  # version 1 says "no limit" with a huge number


class Group(msgspec.Struct, frozen=True):
    """The files of one control group; a version keeps its numbers where it does."""

    limit: Path
    events: Path  # holds a line "oom_kill <count>"

    def limit_bytes(self) -> int | None:
        text = _read(self.limit)
        if text is None or not text.strip().isdigit():  # version 2 says "max"
            return None
        return int(text) if int(text) < _UNLIMITED_BYTES else None

    def oom_kills(self) -> int | None:
        """How many processes the kernel has ended here for want of memory."""
        for line in (_read(self.events) or "").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
        return None


def own_group(membership: Path = Path("/proc/self/cgroup"), root: Path = _ROOT) -> Group | None:
    """The memory control group that this process is in."""
    for line in (_read(membership) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _existing(root / "memory", path, "memory.limit_in_bytes", "memory.oom_control")
        if not controllers and (root / "cgroup.controllers").exists():
            return _existing(root, path, "memory.max", "memory.events")
    return None


def _existing(root: Path, path: str, limit: str, events: str) -> Group | None:
    """In a container the path may be the host's, and the group itself is mounted as the root."""
    for directory in (root / path.lstrip("/"), root):
        if (directory / events).exists():
            return Group(directory / limit, directory / events)
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def words(count: int) -> str:
    """Bytes for people."""
    if count >= 2**30:
        return f"{count / 2**30:.2f} GiB"
    return f"{count / 2**20:.0f} MiB"

"""Facts in files: JSON with one item a line, so that a change can be read as a difference.

The snapshot is part of the package; what refreshes found is in the state directory, one file a
cloud and region.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import msgspec

from shoal.clouds.catalog.facts import Facts
from shoal.wire.specs import Cloud

_LISTS = ("types", "regions", "prices", "extras")


@functools.cache
def snapshot(cloud: Cloud) -> Facts:
    """As it came with this version. A cloud without one has none of these facts."""
    file = resources.files("shoal.clouds.catalog") / "snapshot" / f"{cloud}.json"
    return msgspec.json.decode(file.read_bytes(), type=Facts)


def refreshed(directory: Path, cloud: Cloud) -> Iterator[Facts]:
    """What earlier refreshes wrote; a file that cannot be read is as if it were not there."""
    for path in sorted(directory.glob(f"{cloud}.*.json")):
        yield from _read(path)


def _read(path: Path) -> Iterator[Facts]:
    try:
        yield msgspec.json.decode(path.read_bytes(), type=Facts)
    except (OSError, msgspec.DecodeError):
        return


def kept(directory: Path, cloud: Cloud, region: str) -> Facts | None:
    """What the last refresh of the region found, if it can be read."""
    return next(_read(directory / f"{cloud}.{region}.json"), None)


def keep(directory: Path, region: str, facts: Facts) -> None:
    """Replaces what was kept for the region; whole or not at all."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{facts.cloud}.{region}.json"
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(text(facts))
    partial.replace(path)


def text(facts: Facts) -> bytes:
    """One line an item."""
    plain = msgspec.to_builtins(facts)
    lines = []
    for name, value in plain.items():
        key = msgspec.json.encode(name).decode()
        if name in _LISTS and value:
            items = ",\n".join(msgspec.json.encode(item).decode() for item in value)
            lines.append(f"{key}: [\n{items}\n]")
        else:
            lines.append(f"{key}: {msgspec.json.encode(value).decode()}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()

"""A bar cut into what its whole consists of."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

WIDTH = 1000  # units of the drawing
_COLOURS = 5

# What is drawn on several pages has the same colour on all of them.
_KNOWN: Mapping[str, int] = {
    "computing": 1,
    "thread-cpu": 1,
    "moving data": 2,
    "transfer": 2,
    "reading spilled data": 3,
    "disk-read": 3,
    "spilling": 5,
    "disk-write": 5,
    "deserialising": 4,
    "deserialize": 4,
    "other": 4,
    "thread-noncpu": 2,
    "executor": 3,
    "packages": 1,
    "wheels from the client": 2,
    "Python": 3,
    "conda packages": 3,
    "waiting for its turn": 4,
    "byte code": 5,
    "copying": 2,
}


class Slice(msgspec.Struct, frozen=True):
    name: str
    value: float
    x: float
    width: float
    colour: int  # 1…5, by the name


def colour(name: str) -> int:
    return _KNOWN.get(name) or zlib.crc32(name.encode()) % _COLOURS + 1


def slices(parts: Mapping[str, float], whole: float) -> tuple[Slice, ...]:
    """In their order; `whole` is the length of the longest bar beside this one."""
    found: list[Slice] = []
    x = 0.0
    for name, value in parts.items():
        width = WIDTH * value / whole
        if width > 0:
            found.append(Slice(name, value, round(x, 1), round(max(width, 1.0), 1), colour(name)))
        x += width
    return tuple(found)

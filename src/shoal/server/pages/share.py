"""A bar cut into what its whole consists of."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

WIDTH = 1000  # units of the drawing
_COLOURS = 5


class Slice(msgspec.Struct, frozen=True):
    name: str
    value: float
    x: float
    width: float
    colour: int  # 1…5


def slices(parts: Mapping[str, float], whole: float) -> tuple[Slice, ...]:
    """In their order; `whole` is the length of the longest bar beside this one."""
    found: list[Slice] = []
    x = 0.0
    for number, (name, value) in enumerate(parts.items()):
        width = WIDTH * value / whole
        if width > 0:
            colour = number % _COLOURS + 1
            found.append(Slice(name, value, round(x, 1), round(max(width, 1.0), 1), colour))
        x += width
    return tuple(found)

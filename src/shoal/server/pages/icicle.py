"""Where the time of workers' threads went, nested: a computation, its tasks by name, what they did.

Each cell is as wide as its share and hangs below what it is a part of, the widest first. A name of
tasks opens into its task groups, by a link: every view is an address, and the keyboard gets there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from shoal.server.pages.life import duration
from shoal.server.pages.share import colour
from shoal.wire.telemetry import TaskGroupSample

WAYS = (
    ("compute_s", "computing"),
    ("transfer_s", "moving data"),
    ("disk_read_s", "reading spilled data"),
    ("disk_write_s", "spilling"),
    ("deserialize_s", "deserialising"),
    ("other_s", "other"),
)
_LEAST = 0.5  # percent of the width: what is narrower is told together
_LETTER, _PAGE, _PHONE = 7.2, 12.3, 3.4  # pixels: of a letter; of a percent of the width

Named = Callable[[TaskGroupSample], str]


class Cell(msgspec.Struct, frozen=True):
    depth: int
    name: str
    seconds: float
    x: float  # percent of the whole
    width: float
    words: str  # its numbers, and those of what hangs below it
    colour: int = 0  # 1…5: what threads did; 0: whose they were
    opens: str | None = (
        None  # the prefix whose groups a link shows; "": all prefixes; None: no link
    )

    @property
    def label(self) -> str:
        """As much as there is room for on a wide page."""
        for told in (f"{self.name} {duration(self.seconds)}", self.name):
            if self._has_room(told, _PAGE):
                return told
        return ""

    @property
    def slim(self) -> bool:
        """On a phone there is no room for it."""
        return not self._has_room(self.label, _PHONE)

    def _has_room(self, text: str, pixels: float) -> bool:
        return len(text) * _LETTER + 8 <= self.width * pixels


class Icicle(msgspec.Struct, frozen=True):
    cells: tuple[Cell, ...]
    depth: int  # rows


def icicle(groups: Sequence[TaskGroupSample], prefix: str = "") -> Icicle:
    """Of all prefixes; or of one, by its groups. Empty: no time is on record."""
    shown = [it for it in groups if not prefix or it.prefix == prefix]
    whole = sum(map(seconds, groups))
    if not sum(map(seconds, shown)):
        return Icicle((), 0)
    top = Cell(0, "all tasks", whole, 0, 100, _words("all tasks", groups, whole))
    if not prefix:
        cells = [top, *_row(1, shown, lambda it: it.prefix, whole, opens=True)]
        return Icicle(tuple(cells), 3)
    back = msgspec.structs.replace(top, opens="")
    own = Cell(1, prefix, sum(map(seconds, shown)), 0, 100, _words(prefix, shown, whole))
    cells = [back, own, *_row(2, shown, lambda it: it.name, whole, opens=False)]
    return Icicle(tuple(cells), 4)


def seconds(group: TaskGroupSample) -> float:
    return float(sum(getattr(group, field) for field, _ in WAYS))


def _row(
    depth: int, groups: Sequence[TaskGroupSample], named: Named, whole: float, *, opens: bool
) -> list[Cell]:
    """Cells side by side, and below each what its threads did."""
    by: dict[str, list[TaskGroupSample]] = {}
    for it in groups:
        by.setdefault(named(it), []).append(it)
    width = 100 / sum(map(seconds, groups))
    sums = {name: sum(map(seconds, some)) for name, some in by.items()}
    wide = sorted((it for it in sums if sums[it] * width >= _LEAST), key=lambda it: -sums[it])
    narrow = [it for it in sums if sums[it] and it not in wide]
    parts = [(name, by[name], opens) for name in wide]
    if narrow:
        parts.append((f"{len(narrow)} more", [it for name in narrow for it in by[name]], False))
    found: list[Cell] = []
    x = 0.0
    for name, some, opening in parts:
        took = sum(map(seconds, some))
        words = _words(name, some, whole)
        opened = name if opening else None
        found.append(Cell(depth, name, took, _r(x), _r(took * width), words, opens=opened))
        found += _ways(depth + 1, name, some, x, width)
        x += took * width
    return found


def _ways(
    depth: int, name: str, groups: Sequence[TaskGroupSample], x: float, width: float
) -> list[Cell]:
    found: list[Cell] = []
    for way, took in _sums(groups):
        words = f"{name}, {way}: {duration(took)}"
        found.append(Cell(depth, way, took, _r(x), _r(took * width), words, colour(way)))
        x += took * width
    return found


def _sums(groups: Sequence[TaskGroupSample]) -> list[tuple[str, float]]:
    sums = [(way, sum(getattr(it, field) for it in groups)) for field, way in WAYS]
    return [it for it in sums if it[1] > 0]


def _words(name: str, groups: Sequence[TaskGroupSample], whole: float) -> str:
    took = sum(map(seconds, groups))
    ways = ", ".join(f"{way} {duration(one)}" for way, one in _sums(groups))
    return f"{name}: {duration(took)}, {100 * took / whole:.0f} % of all; {ways}"


def _r(percent: float) -> float:
    return round(percent, 3)

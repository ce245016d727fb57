"""A measured figure, and all of them as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Row(msgspec.Struct, frozen=True):
    what: str
    figure: float
    unit: str
    aim: str = ""


def markdown(rows: Iterable[Row]) -> str:
    lines = ["| what | measured | aim |", "| --- | --- | --- |"]
    lines += [f"| {it.what} | {it.figure:.3g} {it.unit} | {it.aim} |" for it in rows]
    return "\n".join(lines)

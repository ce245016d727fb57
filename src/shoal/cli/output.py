"""How data is printed: aligned columns for people, the API's own JSON for programs.

Widths are counted, not guessed, and nothing is cut off: output may be piped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click
import msgspec

Colour = Callable[[str], str | None]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def json_line(value: object) -> None:
    click.echo(msgspec.json.encode(value))


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str = "") -> None:
    """`nothing` goes to stderr when there are no rows."""
    if not rows:
        click.echo(nothing, err=True)
        return
    lines = [tuple(titles), *(tuple(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(titles))]
    for number, line in enumerate(lines):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        text = "  ".join(cells).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 else text)


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, the empty ones left out."""
    told = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in told), default=0)
    for name, value in told:
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {value}")


def note(text: str) -> None:
    """For the person; not data."""
    click.echo(text, err=True)


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    if moment is None:
        return ""
    return f"{duration(((now or datetime.now(UTC)) - moment).total_seconds())} ago"


def duration(seconds: float) -> str:
    """The two greatest units: "2 h 5 min"."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min")]
    told = [(number, unit) for number, unit in parts if number]
    if whole < 3600:
        told.append((whole % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in told[:2] if number)


def size(bytes_: int) -> str:
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if bytes_ >= factor:
            return f"{bytes_ / factor:.1f} {unit}"
    return f"{bytes_} B"

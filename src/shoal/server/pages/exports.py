"""Lists as files: CSV for spreadsheets, JSON as the API gives it.

A cell that a spreadsheet would run as a formula is told as text: it gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from starlette.responses import Response

from shoal.errors import NotFound

MAX_ROWS = 10_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Cell = str | int | float | datetime | None


def as_csv(name: str, titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Response:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(titles)
    writer.writerows([_told(cell) for cell in row] for row in rows)
    return Response(out.getvalue(), media_type="text/csv", headers=_named(f"{name}.csv"))


def as_json(name: str, value: object) -> Response:
    return Response(
        msgspec.json.encode(value), media_type="application/json", headers=_named(f"{name}.json")
    )


def structs(
    name: str, part: str, kind: str, parts: Mapping[str, Sequence[msgspec.Struct]]
) -> Response:
    """One of the lists, a row for each of its structs; `kind`: csv or json."""
    if part not in parts or kind not in ("csv", "json"):
        raise NotFound(f"There is no {part}.{kind} here.", hint=f"There is {', '.join(parts)}.")
    found, title = parts[part], f"{name}-{part}"
    if kind == "json":
        return as_json(title, {part: found})
    titles = [it.name for it in msgspec.structs.fields(found[0])] if found else []
    rows = [[_cell(getattr(it, title)) for title in titles] for it in found]
    return as_csv(title, titles, rows)


def _cell(value: object) -> Cell:
    """What has parts is told as JSON."""
    if value is None or isinstance(value, (str, int, float, datetime)):
        return int(value) if isinstance(value, bool) else value
    return msgspec.json.encode(value).decode()


def as_text(name: str, text: str) -> Response:
    return Response(text, media_type="text/plain", headers=_named(name))


def dollars(uusd: int | None) -> str:
    return "" if uusd is None else f"{uusd / 1_000_000:.6f}"


def _told(cell: Cell) -> str | int | float:
    match cell:
        case None:
            return ""
        case datetime():
            return cell.isoformat()
        case str() if cell.startswith(_FORMULA):
            return f"'{cell}"
        case _:
            return cell


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="shoal-{name}"'}

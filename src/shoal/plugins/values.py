"""Values as the wire wants them (shoal/wire/telemetry.py): JSON, bounded, in UTF-8.

User code may name anything anything: half a surrogate pair in one task's name would make a whole
batch unreadable.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, Any]  # JSON, as shoal.wire.telemetry declares it

NAME = 500
MESSAGE = 2_000
LONG = 20_000


def moment(seconds: float) -> str:
    """Seconds since 1970 as the wire writes a time."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()  # noqa: UP017  (as of 3.10)


def text(value: object, most: int = NAME, *, keep_end: bool = False) -> str:
    whole = value if isinstance(value, str) else str(value)
    cut = whole[-most:] if keep_end else whole[:most]
    return cut.encode("utf-8", "replace").decode()

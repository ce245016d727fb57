"""Text that must not show up in a log, a traceback or a terminal.

A `Secret` is printed as `Secret(…)`, by rich too, which shows local variables in tracebacks. It is
still a struct, and is encoded whole: a boot text must be able to carry it.
"""

from __future__ import annotations

import msgspec


class Secret(msgspec.Struct, frozen=True):
    text: str

    def __repr__(self) -> str:
        return "Secret(…)"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("text", "…")]

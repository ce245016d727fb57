"""How a run of the command is seen by a test."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Ran(msgspec.Struct, frozen=True):
    status: int
    out: str
    err: str


Shoal = Callable[..., Ran]

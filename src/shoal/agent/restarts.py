"""Whether a Dask process that ended is started again, and when. Pure.

A crash may be chance, so it is tried again, more slowly each time; what crashes again and again is
broken, and the VM says so. A clean end that nobody here asked for is Dask's way to ask for a fresh
process (`Client.restart`, a lost scheduler): that is no fault, and only many at once are slowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

WINDOW_S = 600.0
MOST_CRASHES = 5
_FIRST_DELAY_S, _MOST_DELAY_S = 0.2, 10.0
_RETIRED_DELAY_S = 2.0
_CLEAN_WINDOW_S, _MOST_CLEAN = 10.0, 3
_CLEAN_DELAY_S = 0.25  # the order that ends the whole cluster may be under way


class Exit(msgspec.Struct, frozen=True):
    at_s: float
    clean: bool
    why: str = ""
    retired: bool = False  # by Dask's scheduler; the order that says so may still be under way


class Restart(msgspec.Struct, frozen=True):
    at_s: float


class GiveUp(msgspec.Struct, frozen=True):
    why: str


Verdict: TypeAlias = Restart | GiveUp


def verdict(exits: Sequence[Exit]) -> Verdict:
    """After the last of `exits`, oldest first."""
    last = exits[-1]
    crashes = [it for it in exits if not it.clean and it.at_s > last.at_s - WINDOW_S]
    if len(crashes) >= MOST_CRASHES:
        minutes = f"{WINDOW_S / 60:.0f} minutes"
        return GiveUp(f"It ended {len(crashes)} times in {minutes}, the last time: {last.why}")
    if last.retired:
        return Restart(last.at_s + _RETIRED_DELAY_S)
    if last.clean:
        recent = [it for it in exits if it.clean and it.at_s > last.at_s - _CLEAN_WINDOW_S]
        return Restart(last.at_s + (1.0 if len(recent) > _MOST_CLEAN else _CLEAN_DELAY_S))
    delay_s = min(_FIRST_DELAY_S * 4 ** (len(crashes) - 1), _MOST_DELAY_S)
    return Restart(last.at_s + delay_s)


def still_counting(exits: Sequence[Exit]) -> tuple[Exit, ...]:
    """Those that can matter later."""
    return tuple(it for it in exits if it.at_s > exits[-1].at_s - WINDOW_S)

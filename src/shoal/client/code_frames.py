"""The lines of code that asked for a computation, found quickly enough for every call.

Dask can send them along (`distributed.diagnostics.computations.nframes`), but reads and parses
their source anew with each `submit`: some tenths of a millisecond, and more in a long function. So
what was found for a place in the code is remembered, and while one place goes on asking it is sent
once a second: `None` says "as before" to a scheduler that is recorded (shoal.plugins.graphs), and
nothing to another. Off with `shoal.record-code: false`.

Dask calls `dask_setup` for each client made after `switch_on` (its own way, "preload").
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, TypeAlias

import dask

from shoal.client import configuration

FRAMES = 4
_DEPTH = 60  # of the stack, that tells two calls apart
_REMEMBERED = 2_000
_AGAIN_S = 1.0
_PRELOAD = "distributed.client.preload"
_IGNORED = "distributed.diagnostics.computations.ignore-modules"

Place: TypeAlias = tuple[tuple[CodeType, int], ...]
Code: TypeAlias = tuple[Any, ...]
Find: TypeAlias = Callable[..., Code]


def switch_on() -> None:
    """For the clients of this session from now on, unless it is switched off."""
    known = list(dask.config.get(_PRELOAD, []) or [])
    if configuration.value("record-code") and __name__ not in known:
        dask.config.set({_PRELOAD: [*known, __name__]})
        logging.getLogger("distributed.preloading").addFilter(_of_others)


def _of_others(record: logging.LogRecord) -> bool:
    """Dask tells of each preload; a user has not asked for this one."""
    return __name__ not in record.getMessage()


def dask_setup(client: Any) -> None:
    if configuration.value("record-code"):
        attach(client)


def attach(client: Any) -> None:
    find = getattr(client, "_get_computation_code", None)
    if find is not None:  # else this Dask does it differently, and there is no code on record
        client._get_computation_code = Remembered(find)


class Remembered:
    """As `find`, which is called once for each place in the code. None: as the last time."""

    def __init__(self, find: Find, clock: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self._clock = clock
        self._known: dict[Place, Code] = {}
        self._said: Place = ()
        self._again_at = 0.0

    def __call__(self, stacklevel: int | None = None, nframes: int = 0) -> Code | None:
        if stacklevel is not None:
            return self._find(stacklevel=stacklevel + 1, nframes=nframes)
        place, now = _place(sys._getframe(1)), self._clock()
        if place == self._said and now < self._again_at:
            return None
        code = self._at(place, nframes)
        if code:
            self._said, self._again_at = place, now + _AGAIN_S
        return code

    def _at(self, place: Place, nframes: int) -> Code:
        if place not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            ignored = [*dask.config.get(_IGNORED, []), r"shoal[.]"]
            with dask.config.set({_IGNORED: ignored}):
                self._known[place] = self._find(nframes=max(nframes, FRAMES))
        return self._known[place]


def _place(frame: FrameType | None) -> Place:
    found: list[tuple[CodeType, int]] = []
    while frame is not None and len(found) < _DEPTH:
        found.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)

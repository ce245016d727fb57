"""Run a coroutine on a clock that jumps over every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import looptime

_R = TypeVar("_R")


def run(work: Coroutine[object, object, _R]) -> _R:
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(work)

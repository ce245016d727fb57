"""What a sync is doing just now, told as it happens, and how long each phase took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

Tell = Callable[[str, str, float], None]  # phase, detail, fraction of the whole


class Phases:
    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._seconds: dict[str, float] = {}
        self._phase, self._since = "", time.perf_counter()

    def enter(self, phase: str, detail: str, fraction: float = 0.0) -> None:
        """The phase that begins, or more of the one that goes on."""
        self._close()
        self._phase = phase
        self._tell(phase, detail, fraction)

    def end(self) -> Mapping[str, float]:
        self._close()
        return self._seconds

    def _close(self) -> None:
        now = time.perf_counter()
        if self._phase:
            self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._since = now

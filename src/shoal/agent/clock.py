"""Two kinds of time: one that only goes forward, for durations, and the wall clock, for people."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class Clock:
    def monotonic_s(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def ago(self, seconds: float) -> datetime:
        return self.now() - timedelta(seconds=seconds)

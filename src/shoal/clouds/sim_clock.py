"""A clock that stands still until it is advanced: time for a simulated cloud and all who use it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

BEGAN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class VirtualClock:
    """Call it for the time."""

    def __init__(self, began: datetime = BEGAN) -> None:
        self._now = began

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"A clock is not advanced by {seconds} s.")
        self._now += timedelta(seconds=seconds)

    def set(self, now: datetime) -> None:
        """To another moment, earlier ones too: what a wall clock does that is corrected."""
        self._now = now

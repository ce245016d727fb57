"""Where whoever calls a double may be cut off: before and after each call.

A gate that has closed lets nothing through any more, so that what a process would still have asked
for is never done: for the double that process is dead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Gate:
    def __init__(self) -> None:
        self.passed: Callable[[], None] = lambda: None  # told of each call that was let through
        self._lock = threading.Lock()
        self.open()

    def open(self, closes_at: int = 0) -> None:
        """To be closed at that point, counted from now; 0: never."""
        self.count = 0
        self.closes_at = closes_at
        self.closed = False
        self.closed_by = ""

    def stops(self, what: str) -> bool:
        with self._lock:
            if not self.closed:
                self.count += 1
                self.passed()
                if self.count == self.closes_at:
                    self.closed, self.closed_by = True, f"{self.count}: {what}"
            return self.closed

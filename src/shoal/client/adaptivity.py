"""What `Cluster.adapt` gives back: adaptive scaling as Dask users know it, done elsewhere.

The head decides how many workers the tasks need, also when this session is gone. So there is no
callback here; the object says within which bounds, and can end it.
"""

from __future__ import annotations

from collections.abc import Callable


class Adaptivity:
    """Stands where Dask has `distributed.deploy.Adaptive`."""

    def __init__(self, minimum: int, maximum: int, fix: Callable[[], object]) -> None:
        """`fix` keeps as many workers as are wanted now; what it gives is for the caller, who
        awaits it in an asynchronous cluster."""
        self.minimum = minimum
        self.maximum = maximum
        self.state = "running"
        self._fix = fix

    def __repr__(self) -> str:
        return f"<Adaptivity: {self.minimum} to {self.maximum} workers, {self.state}>"

    @property
    def periodic_callback(self) -> object | None:
        """Dask tells by it whether scaling is adaptive."""
        return self if self.state == "running" else None

    def stop(self) -> object:
        """End it; the number of workers stays."""
        if self.state != "running":
            return None
        self.state = "stopped"
        return self._fix()

"""What `Cluster.adapt` gives back: adaptive scaling as Dask users know it, done elsewhere.

The head decides how many workers the tasks need, also when this session is gone. So there is no
callback here; the object says within which bounds, and can end it.
"""

from __future__ import annotations

from typing import Protocol


class Fixable(Protocol):
    """A cluster whose number of workers can be fixed."""

    def scale(self, n: int) -> object: ...

    @property
    def wanted(self) -> int: ...


class Adaptivity:
    """Stands where Dask has `distributed.deploy.Adaptive`."""

    def __init__(self, cluster: Fixable, minimum: int, maximum: int) -> None:
        self.cluster = cluster
        self.minimum = minimum
        self.maximum = maximum
        self.state = "running"

    def __repr__(self) -> str:
        return f"<Adaptivity: {self.minimum} to {self.maximum} workers, {self.state}>"

    @property
    def periodic_callback(self) -> object | None:
        """Dask tells by it whether scaling is adaptive."""
        return self if self.state == "running" else None

    def stop(self) -> object:
        """Keep as many workers as there are wanted now."""
        if self.state != "running":
            return None
        self.state = "stopped"
        return self.cluster.scale(self.cluster.wanted)

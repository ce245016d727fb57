"""A Dask cluster on your own cloud account, with the environment you already have.

`from shoal import Cluster` is all most people need; everything else is reached from it.
Importing this package is cheap: Dask is imported when a name that needs it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.version import VERSION as __version__

__all__ = ["Cluster", "__version__", "watch"]

if TYPE_CHECKING:
    from shoal.client.cluster import Cluster as Cluster
    from shoal.client.watching import watch as watch


def __getattr__(name: str) -> object:
    if name == "Cluster":
        from shoal.client.cluster import Cluster

        return Cluster
    if name == "watch":
        from shoal.client.watching import watch

        return watch
    raise AttributeError(f"module 'shoal' has no attribute {name!r}")

"""What is true of a region today, asked of the cloud's own type and price APIs.

One module a cloud with `fetch(account, region, today) -> Facts`; it blocks, raises what its SDK
raises in the four errors' words, and is called in a thread. What a cloud does not tell is absent.
"""

from __future__ import annotations

import importlib
from datetime import date
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from shoal.clouds.catalog import files
from shoal.clouds.catalog.facts import Facts
from shoal.wire.accounts import CloudAccount, cloud_of
from shoal.wire.specs import Cloud

_MODULES = {
    Cloud.GCP: "shoal.clouds.catalog.fetch.gcp",
    Cloud.AWS: "shoal.clouds.catalog.fetch.aws",
    Cloud.AZURE: "shoal.clouds.catalog.fetch.azure",
}
_LIMITER = anyio.CapacityLimiter(1)


async def refresh(account: CloudAccount, region: str, directory: Path, today: date) -> Facts:
    """Ask, and keep the answer for all who read the catalog there. Raises CloudError."""
    module = importlib.import_module(_MODULES[cloud_of(account)])
    found: Facts = await anyio.to_thread.run_sync(
        partial(module.fetch, account, region, today), limiter=_LIMITER
    )
    files.keep(directory, region, found)
    return found

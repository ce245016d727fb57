"""Prices of yesterday are good enough, older ones are not: each account's regions, once a day.

What is kept in the state directory says when it was asked for, so replicas and restarts ask no more
often. An account whose API is not the vendor's own has no price list to be asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from shoal.clouds.catalog import files
from shoal.clouds.catalog.fetch import refresh
from shoal.server.desk import Desk
from shoal.store import accounts
from shoal.wire.accounts import CloudAccount, cloud_of

EVERY_S = 3600.0  # a look at what is kept


async def care_for_catalog(desk: Desk) -> None:
    """Raises CloudError; the next look is the retry."""
    known = await desk.database.run(accounts.every)
    for account, region in stale(desk, list(known.values())):
        await refresh(account, region, desk.settings.state.catalog, desk.clock().date())


def stale(desk: Desk, known: list[CloudAccount]) -> Iterator[tuple[CloudAccount, str]]:
    for account in known:
        cloud = cloud_of(account)
        kept = files.kept(desk.settings.state.catalog, cloud, account.region)
        fresh = kept is not None and kept.as_of >= desk.clock().date()
        if cloud in desk.providers and not account.endpoint and not fresh:
            yield account, account.region

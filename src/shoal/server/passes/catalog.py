"""Prices of yesterday are good enough, older ones are not: each account's own region, and those
that its clusters are in, once a day.

What is kept in the state directory says when it was asked for, so replicas and restarts ask no more
often. An account whose API is not the vendor's own has no price list to be asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from shoal.clouds.catalog import files
from shoal.clouds.catalog.fetch import refresh
from shoal.server.desk import Desk
from shoal.store import accounts, clusters
from shoal.wire.accounts import CloudAccount, cloud_of
from shoal.wire.specs import Cloud

EVERY_S = 3600.0  # a look at what is kept


async def care_for_catalog(desk: Desk) -> None:
    """Raises CloudError; the next look is the retry."""
    known = await desk.database.run(accounts.every)
    used = {
        (it.spec.cloud, it.spec.region)
        for it in await desk.database.run(clusters.unsettled, None)
        if it.spec.region
    }
    for account, region in stale(desk, list(known.values()), used):
        await refresh(account, region, desk.settings.state.catalog, desk.clock().date())


def stale(
    desk: Desk, known: list[CloudAccount], used: Collection[tuple[Cloud, str]] = ()
) -> Iterator[tuple[CloudAccount, str]]:
    """`used`: cloud and region."""
    for account in known:
        cloud = cloud_of(account)
        if cloud not in desk.providers or account.endpoint:
            continue
        for region in sorted({account.region, *(where for it, where in used if it == cloud)}):
            kept = files.kept(desk.settings.state.catalog, cloud, region)
            if kept is None or kept.as_of < desk.clock().date():
                yield account, region

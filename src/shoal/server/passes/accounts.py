"""The accounts that are registered, and whether this server reaches them."""

from __future__ import annotations

import logging

from shoal.server.desk import Desk
from shoal.store import accounts

_log = logging.getLogger(__name__)


async def care_for_accounts(desk: Desk) -> None:
    """Another replica may have registered one, or removed it."""
    if not desk.clouds.follow(await desk.database.run(accounts.every)):
        return
    for cloud, problem in desk.clouds.problems.items():
        _log.error("%s: %s", cloud, problem)
    await desk.wanted.ring()

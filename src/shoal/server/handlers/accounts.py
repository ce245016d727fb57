"""Cloud accounts: registered by `shoal setup`, for all clusters of this server."""

from __future__ import annotations

from typing import assert_never

from shoal.errors import InvalidRequest, NotFound
from shoal.server.desk import Desk, Incoming
from shoal.server.passes.accounts import care_for_accounts
from shoal.store import accounts as rows
from shoal.wire.accounts import (
    AccountList,
    AwsAccount,
    AzureAccount,
    CloudAccount,
    GcpAccount,
    cloud_of,
)
from shoal.wire.events import Event, EventKind
from shoal.wire.specs import Cloud

_CLOUDS = frozenset(it.value for it in Cloud)


async def accounts(desk: Desk, asked: Incoming[None, None]) -> AccountList:
    return await _registered(desk)


async def put_account(desk: Desk, asked: Incoming[None, CloudAccount]) -> AccountList:
    account = asked.body
    cloud = cloud_of(account)
    if asked.path["cloud"] != cloud:
        raise InvalidRequest(f"This is an account of {cloud}, not of {asked.path['cloud']}.")
    desk.clouds.check(account)
    why = f"clusters on {cloud} go to {_place(account)}"
    event = Event(desk.clock(), EventKind.ACCOUNT_SET, asked.caller.user, why, after=cloud)
    await desk.database.run(rows.put, account, event)
    return await _now(desk)


async def remove_account(desk: Desk, asked: Incoming[None, None]) -> AccountList:
    cloud = asked.path["cloud"]
    why = "it is not used any more"
    event = Event(desk.clock(), EventKind.ACCOUNT_REMOVED, asked.caller.user, why, before=cloud)
    known = cloud in _CLOUDS and await desk.database.run(rows.remove, Cloud(cloud), event)
    if not known:
        raise NotFound(f"No account of {cloud!r} is registered.", hint="See: shoal doctor")
    return await _now(desk)


async def _now(desk: Desk) -> AccountList:
    await care_for_accounts(desk)
    await desk.told.ring()
    return await _registered(desk)


async def _registered(desk: Desk) -> AccountList:
    return AccountList(tuple((await desk.database.run(rows.every)).values()))


def _place(account: CloudAccount) -> str:
    match account:
        case GcpAccount(project=owner) | AwsAccount(account=owner):
            pass
        case AzureAccount(subscription=owner):
            pass
        case _:
            assert_never(account)
    return f"{owner} in {account.region}"

"""The account that the login on this machine leads to, for `shoal setup` and `shoal doctor`.

Each cloud's package has a module `account` with

    async def discover(owner: str | None, region: str | None) -> CloudAccount
        Whom the login belongs to (project, account, subscription) and its default region. Raises
        NotPossible, with what to do, when there is no login or it does not say enough.

    def examined(account: CloudAccount) -> Account
        The same account, to be checked, prepared and put back.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from shoal.clouds.account import Account
from shoal.errors import NotPossible
from shoal.wire.accounts import CloudAccount, cloud_of
from shoal.wire.specs import Cloud

_LOGINS = {
    Cloud.GCP: "shoal.clouds.gcp.account",
    Cloud.AWS: "shoal.clouds.aws.account",
    Cloud.AZURE: "shoal.clouds.azure.account",
}


async def discover(cloud: Cloud, owner: str | None, region: str | None) -> CloudAccount:
    found: CloudAccount = await _module(cloud).discover(owner, region)
    return found


def examined(account: CloudAccount) -> Account:
    made: Account = _module(cloud_of(account)).examined(account)
    return made


def _module(cloud: Cloud) -> ModuleType:
    name = _LOGINS[cloud]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise NotPossible(f"This version of Shoal does not set up {cloud} yet.") from error
        raise NotPossible(
            f"{cloud}'s own client is not installed here ({error.name}).",
            hint=f"Install it: pip install 'shoal[{cloud}]'",
        ) from error

"""The account that the login on this machine leads to, for `shoal setup` and `shoal doctor`.

One module a cloud reads what the vendor's own tools left here (Application Default Credentials, an
AWS profile, the Azure CLI's login): whose it is, and its default region. No secret is taken from
it. What can be done with the account, the cloud's own package knows.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import NamedTuple

from shoal.clouds.account import Account
from shoal.errors import NotPossible
from shoal.wire.accounts import CloudAccount, cloud_of
from shoal.wire.specs import Cloud


class _Setup(NamedTuple):
    module: str
    name: str


_SETUPS = {
    Cloud.GCP: _Setup("shoal.clouds.gcp.account", "GcpSetup"),
    Cloud.AWS: _Setup("shoal.clouds.aws.account", "AwsSetup"),
    Cloud.AZURE: _Setup("shoal.clouds.azure.account", "AzureSetup"),
}


def discover(cloud: Cloud, owner: str | None, region: str | None) -> CloudAccount:
    """`owner` (project, account, subscription) and `region` win over what is found. Raises
    NotPossible, with what to do, when there is no login, and NotSaid when it lacks one of both."""
    module = _imported(cloud, f"shoal.clouds.logins.{cloud}")
    found: CloudAccount = module.discover(owner, region)
    return found


def examined(account: CloudAccount) -> Account:
    """The same account, to be checked, prepared and put back."""
    cloud = cloud_of(account)
    setup = _SETUPS[cloud]
    made: Account = getattr(_imported(cloud, setup.module), setup.name)(account)
    return made


def _imported(cloud: Cloud, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("shoal."):
            raise NotPossible(f"This version of Shoal does not set up {cloud} yet.") from error
        raise NotPossible(
            f"{cloud}'s own client is not installed here ({error.name}).",
            hint=f"Install it: pip install 'shoal[{cloud}]'",
        ) from error

"""The identity of a subscription's VMs: a user-assigned one, in the resource group.

It may do nothing. Whoever wants workers to read a container by themselves gives it a role there; no
key is made. Its kind of resource has no client among those that Shoal uses, so it goes by its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.clouds.azure import names
from shoal.wire.accounts import AzureAccount

NAME = "shoal-vm"
NONE = "none"  # as an account's `identity`: VMs are to have none
KIND = "Microsoft.ManagedIdentity/userAssignedIdentities"
VERSION = "2023-01-31"
WHAT = f"identity {NAME} of VMs: it may do nothing until it is given a role"


def own(account: AzureAccount) -> str:
    return f"{names.group_id(account)}/providers/{KIND}/{NAME}"


def command(account: AzureAccount) -> str:
    return (
        f"az identity create -g {account.resource_group} -n {NAME} -l {account.region} "
        f"--tags {names.MADE_BY_TAG}={names.SETUP}"
    )


def get(groups: Any, id: str) -> Any:
    """Of a client of resources. Raises ResourceNotFoundError."""
    return groups.resources.get_by_id(id, api_version=VERSION)


def put(groups: Any, account: AzureAccount) -> Any:
    body: Mapping[str, Any] = {
        "location": account.region,
        "tags": {names.MADE_BY_TAG: names.SETUP},
    }
    asked = groups.resources.begin_create_or_update_by_id(
        own(account), parameters=body, api_version=VERSION
    )
    return asked.result()


def delete(groups: Any, account: AzureAccount) -> Any:
    return groups.resources.begin_delete_by_id(own(account), api_version=VERSION)

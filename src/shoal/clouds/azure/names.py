"""What things are called in Azure: derived from what they belong to, so that nothing is looked up.

A VM is called by its Instance id; its disk, interface and address by that and a suffix. Resource
ids are compared in small letters, because Azure does not keep their case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from shoal.clouds import regional
from shoal.errors import InvalidRequest
from shoal.wire.accounts import AzureAccount

DISK, INTERFACE, ADDRESS = "-disk", "-nic", "-ip"
MADE_BY_TAG = "shoal-made-by"  # what an account's `prepare` made, and `remove` takes away
SETUP = "setup"
_OWN = "shoal"  # network and subnet, where the account names none


def group_id(account: AzureAccount) -> str:
    return f"/subscriptions/{account.subscription}/resourceGroups/{account.resource_group}"


def vm_id(account: AzureAccount, name: str) -> str:
    return f"{group_id(account)}/providers/Microsoft.Compute/virtualMachines/{name}".lower()


def own_network(account: AzureAccount, region: str) -> str:
    """The resource id of the existing network that the account names there; empty: it is Shoal's.
    Each is in one region."""
    if _is_name(account.network):
        return ""
    for own in regional.by_region(account.network).values() or [account.network]:
        if not own.startswith("/"):
            raise InvalidRequest(
                f"network={account.network}: {own!r} is no resource id.",
                hint="Networks of single regions are named by them, as in eastus=/subscriptions/…",
            )
    return regional.of(account.network, region, home=account.region)


def network_id(account: AzureAccount, region: str) -> str:
    if own := own_network(account, region):
        return own
    return (
        f"{group_id(account)}/providers/Microsoft.Network/virtualNetworks/"
        f"{network_name(account, region)}"
    )


def network_name(account: AzureAccount, region: str) -> str:
    """Of Shoal's own."""
    return f"{account.network if _is_name(account.network) else _OWN}-{region}"


def subnet_name(account: AzureAccount, region: str) -> str:
    if "=" not in account.subnet:
        return account.subnet
    return regional.of(account.subnet, region, home=account.region) or _OWN


def subnet_id(account: AzureAccount, region: str) -> str:
    return f"{network_id(account, region)}/subnets/{subnet_name(account, region)}"


def _is_name(network: str) -> bool:
    """Of networks that setup makes, one a region."""
    return not {"/", "="} & set(network)


def closed_group(region: str) -> str:
    """The security group of whom only the network may reach."""
    return f"shoal-closed-{region}"


def open_group(region: str, cidrs: Sequence[str]) -> str:
    """The one of heads that these may reach: one for all clusters that name the same."""
    digest = hashlib.sha256(" ".join(sorted(set(cidrs))).encode()).hexdigest()[:10]
    return f"shoal-head-{region}-{digest}"


def security_group_id(account: AzureAccount, name: str) -> str:
    return f"{group_id(account)}/providers/Microsoft.Network/networkSecurityGroups/{name}"


def last(resource_id: str) -> str:
    return resource_id.rsplit("/", 1)[-1]


def group_of(resource_id: str) -> str:
    """Its resource group."""
    return resource_id.split("/")[4]


def owner_of(name: str, suffix: str) -> str:
    """The VM whose disk, interface or address is called so; empty: nobody's."""
    return name.removesuffix(suffix) if name.endswith(suffix) else ""

"""What the server's identity must be allowed in Azure, each with the reason, and the role of it.

The role is for the resource group, but for what Azure only tells of a whole subscription. `setup`
needs more (SETUP), and runs as the user.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shoal.clouds.account import Permission
from shoal.wire.accounts import AzureAccount

_COMPUTE, _NETWORK, _RESOURCES = "Microsoft.Compute", "Microsoft.Network", "Microsoft.Resources"
_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"

IN_GROUP = (
    Permission(f"{_RESOURCES}/deployments/read", "whether a batch was launched, and what became"),
    Permission(f"{_RESOURCES}/deployments/write", "launch a batch"),
    Permission(f"{_RESOURCES}/deployments/operations/read", "which of a batch's VMs got room"),
    Permission(f"{_RESOURCES}/deployments/operationstatuses/read", "how far a batch is"),
    Permission(f"{_RESOURCES}/subscriptions/resourceGroups/read", "the group is there"),
    Permission(f"{_COMPUTE}/virtualMachines/write", "launch a batch"),
    Permission(f"{_COMPUTE}/virtualMachines/delete", "end VMs"),
    Permission(f"{_COMPUTE}/disks/write", "a VM's disk"),
    Permission(f"{_COMPUTE}/disks/delete", "disks that a VM left behind"),
    Permission(f"{_NETWORK}/networkInterfaces/write", "a VM's interface"),
    Permission(f"{_NETWORK}/networkInterfaces/join/action", "a VM's interface"),
    Permission(f"{_NETWORK}/networkInterfaces/delete", "interfaces that a VM left behind"),
    Permission(f"{_NETWORK}/publicIPAddresses/write", "a VM's public address"),
    Permission(f"{_NETWORK}/publicIPAddresses/join/action", "a VM's public address"),
    Permission(f"{_NETWORK}/publicIPAddresses/delete", "addresses that a VM left behind"),
    Permission(f"{_NETWORK}/networkSecurityGroups/read", "who may reach a scheduler"),
    Permission(f"{_NETWORK}/networkSecurityGroups/write", "who may reach a scheduler"),
    Permission(f"{_NETWORK}/networkSecurityGroups/join/action", "close a VM to the outside"),
    Permission(f"{_NETWORK}/virtualNetworks/read", "the network is there"),
    Permission(f"{_NETWORK}/virtualNetworks/subnets/join/action", "a VM's place in the network"),
    Permission(f"{_IDENTITY}/assign/action", "VMs' identity"),
)
IN_SUBSCRIPTION = (
    Permission(f"{_COMPUTE}/virtualMachines/read", "list VMs, and whether they run"),
    Permission(f"{_COMPUTE}/disks/read", "find what was left behind"),
    Permission(f"{_NETWORK}/networkInterfaces/read", "VMs' addresses"),
    Permission(f"{_NETWORK}/publicIPAddresses/read", "VMs' addresses"),
    Permission(f"{_COMPUTE}/skus/read", "sizes and zones for offers"),
    Permission(
        f"{_COMPUTE}/locations/placementScores/generate/action",
        "ask where spot VMs are likely to be had",
    ),
    Permission(f"{_COMPUTE}/locations/usages/read", "quotas, for `shoal doctor`"),
    Permission(f"{_NETWORK}/locations/usages/read", "quotas, for `shoal doctor`"),
)
ALL = IN_GROUP + IN_SUBSCRIPTION

# What whoever runs `shoal setup azure` needs besides, in the resource group: once, not the server.
SETUP = (
    Permission(f"{_RESOURCES}/subscriptions/resourceGroups/write", "the group, if it is not there"),
    Permission(f"{_RESOURCES}/subscriptions/resourceGroups/delete", "take it away again"),
    Permission(f"{_RESOURCES}/subscriptions/resourceGroups/resources/read", "what is still in it"),
    Permission(f"{_NETWORK}/virtualNetworks/write", "the network"),
    Permission(f"{_NETWORK}/virtualNetworks/delete", "take it away again"),
    Permission(f"{_NETWORK}/networkSecurityGroups/delete", "take groups away again"),
    Permission(f"{_IDENTITY}/read", "see whether the VMs' identity is there"),
    Permission(f"{_IDENTITY}/write", "the VMs' identity, which may do nothing by itself"),
    Permission(f"{_IDENTITY}/delete", "take it away again"),
    Permission("Microsoft.Authorization/permissions/read", "shoal doctor: what is granted"),
    Permission(
        f"{_COMPUTE}/locations/publishers/artifacttypes/offers/skus/versions/read", "images"
    ),
)
PROVIDERS = (
    "Microsoft.Compute",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.Resources",
)


class Grant(msgspec.Struct, frozen=True, rename="camel"):
    """What a role lets its holder do; patterns with `*`."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        return _any(self.actions, action) and not _any(self.not_actions, action)


class Grants(msgspec.Struct, frozen=True):
    value: tuple[Grant, ...] = ()

    def allow(self, action: str) -> bool:
        return any(it.allows(action) for it in self.value)


def role(account: AzureAccount) -> str:
    """For `az role definition create --role-definition @role.json`."""
    scope = f"/subscriptions/{account.subscription}"
    made = {
        "Name": "Shoal server",
        "IsCustom": True,
        "Description": "Starts, lists and ends the VMs of Dask clusters.",
        "Actions": sorted(it.name for it in ALL),
        "NotActions": [],
        "AssignableScopes": [scope],
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode()


def _any(patterns: Iterable[str], action: str) -> bool:
    return any(_matches(it.lower(), action.lower()) for it in patterns)


def _matches(pattern: str, action: str) -> bool:
    """`*` stands for anything, slashes too."""
    head, *rest = pattern.split("*")
    if not rest:
        return pattern == action
    if not action.startswith(head):
        return False
    at = len(head)
    for piece in rest[:-1]:
        found = action.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(action) - at >= len(rest[-1]) and action.endswith(rest[-1])

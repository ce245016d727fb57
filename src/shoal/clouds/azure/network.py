"""What `prepare` makes of the network, as Azure's bodies. Pure.

One virtual network a region, one subnet, no peering: Azure's default rules let VMs of a network
reach each other and nobody else in. A security group without rules says so explicitly.
"""

from __future__ import annotations

import hashlib
from typing import Any

from shoal.clouds.azure import names
from shoal.wire.accounts import AzureAccount

Body = dict[str, Any]


def group(account: AzureAccount) -> Body:
    return {"location": account.region, "tags": _tags()}


def network(account: AzureAccount, region: str) -> Body:
    return {
        "location": region,
        "tags": _tags(),
        "properties": {
            "addressSpace": {"addressPrefixes": [prefix(region)]},
            "subnets": [
                {
                    "name": names.subnet_name(account, region),
                    "properties": {"addressPrefix": prefix(region)},
                },
            ],
        },
    }


def closed(region: str) -> Body:
    return {"location": region, "tags": _tags(), "properties": {"securityRules": []}}


def prefix(region: str) -> str:
    """65,000 addresses; another one in each region, mostly, so that they can be peered."""
    return f"10.{64 + hashlib.sha256(region.encode()).digest()[0] % 128}.0.0/16"


def _tags() -> dict[str, str]:
    return {names.MADE_BY_TAG: names.SETUP}

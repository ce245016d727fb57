"""A batch as one Azure template deployment: all its VMs, by name, in one call.

Why a deployment and not a PUT a VM: its record outlives the VMs, so a repeated launch can be told
from a first one after some have ended (a second PUT of a VM's name would raise it again); a
thousand VMs are two calls, which Azure spreads under its own rate limits; and the boot text is a
secure parameter, which Azure does not show again. A Virtual Machine Scale Set or a
Compute Fleet would name the VMs itself, and names are how core knows them.

Pure: a batch and an account in, the body of the call out. Shapes:
https://learn.microsoft.com/azure/templates/microsoft.compute/virtualmachines
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shoal.clouds import images as own_images
from shoal.clouds.azure import identity, images, names
from shoal.core.batches import BATCH_TAG, CLUSTER_TAG, INSTALLATION_TAG
from shoal.core.records import Batch, Offer
from shoal.wire.accounts import AzureAccount
from shoal.wire.boot import AGENT_PORT, DASHBOARD_PORT, SCHEDULER_PORT
from shoal.wire.ids import BatchId, InstallationId, InstanceId
from shoal.wire.specs import Role

Body = dict[str, Any]  # JSON of the vendor's shape

MOST_VMS = 700  # Azure takes 800 resources in a template
COMPUTE_API, NETWORK_API = "2025-04-01", "2024-05-01"
NIC_API = "2022-11-01"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
ZONE_TAG, TYPE_TAG = "shoal-zone", "shoal-machine-type"  # of the deployment: what was chosen
PRICE_TAG = "shoal-uusd-per-hour"  # of a VM: what its offer said, where it did


class Part(msgspec.Struct, frozen=True):
    """So much of a batch as one template holds, and the name of its deployment."""

    name: str
    instances: tuple[InstanceId, ...]


def parts(batch: Batch) -> tuple[Part, ...]:
    cut = [batch.instances[at : at + MOST_VMS] for at in range(0, batch.count, MOST_VMS)]
    return tuple(Part(_part_name(batch.id, n), it) for n, it in enumerate(cut, 1))


def _part_name(id: BatchId, number: int) -> str:
    return id if number == 1 else f"{id}-part-{number}"


class Maker(msgspec.Struct, frozen=True):
    """Makes deployments of one account and installation."""

    account: AzureAccount
    installation: InstallationId

    def deployment(self, batch: Batch, part: Part, offer: Offer, secrets: Secrets) -> Body:
        tags = self._tags(batch, offer)
        own = {ZONE_TAG: offer.zone, TYPE_TAG: offer.machine_type}
        return {
            "tags": {**tags, **own},
            "properties": {
                "mode": "Incremental",
                "parameters": {
                    "bootText": {"value": secrets.boot},
                    "sshKey": {"value": secrets.ssh_key},
                },
                "template": self._template(batch, part, offer, tags),
            },
        }

    def _tags(self, batch: Batch, offer: Offer) -> dict[str, str]:
        price = offer.price_uusd_per_hour
        ours = {
            INSTALLATION_TAG: self.installation,
            CLUSTER_TAG: batch.cluster,
            BATCH_TAG: batch.id,
            **({PRICE_TAG: str(price)} if price is not None else {}),
        }
        return {**dict(batch.tags), **ours}

    def _template(self, batch: Batch, part: Part, offer: Offer, tags: Mapping[str, str]) -> Body:
        group = self._security_group(batch, offer.region)
        return {
            "$schema": SCHEMA,
            "contentVersion": "1.0.0.0",
            "parameters": {
                "bootText": {"type": "securestring"},
                "sshKey": {"type": "string"},
            },
            "variables": {"tags": {key: literal(value) for key, value in tags.items()}},
            "resources": [
                *([self._open_group(batch, offer.region)] if _is_open(batch) else []),
                *(self._vm(batch, name, offer, group) for name in part.instances),
            ],
        }

    def _vm(self, batch: Batch, name: str, offer: Offer, group: str) -> Body:
        made: Body = {
            "type": "Microsoft.Compute/virtualMachines",
            "apiVersion": COMPUTE_API,
            "name": name,
            "location": offer.region,
            "tags": "[variables('tags')]",
            "properties": {
                "hardwareProfile": {"vmSize": offer.machine_type},
                "storageProfile": self._storage(batch, name, offer),
                "osProfile": _os_profile(name),
                "networkProfile": {
                    "networkApiVersion": NIC_API,
                    "networkInterfaceConfigurations": [
                        self._interface(name, offer.region, group, self._has_address(batch))
                    ],
                },
                **(_SPOT if offer.spot else {}),
            },
        }
        if offer.zone != offer.region:
            made["zones"] = [offer.zone.removeprefix(f"{offer.region}-")]
        if self.account.identity not in ("", identity.NONE):
            made["identity"] = {
                "type": "UserAssigned",
                "userAssignedIdentities": {self.account.identity: {}},
            }
        if _is_open(batch):
            made["dependsOn"] = [group]
        return made

    def _storage(self, batch: Batch, name: str, offer: Offer) -> Body:
        size = {"diskSizeGB": batch.disk_gib} if batch.disk_gib else {}
        return {
            "imageReference": images.chosen(
                batch.image or own_images.named(self.account.image, offer), offer
            ),
            "osDisk": {
                "name": f"{name}{names.DISK}",
                "createOption": "FromImage",
                "deleteOption": "Delete",
                "managedDisk": {"storageAccountType": "StandardSSD_LRS"},
                **size,
            },
        }

    def _interface(self, name: str, region: str, group: str, public: bool) -> Body:
        place: Body = {"subnet": {"id": names.subnet_id(self.account, region)}, "primary": True}
        if public:
            place["publicIPAddressConfiguration"] = {
                "name": f"{name}{names.ADDRESS}",
                "sku": {"name": "Standard"},
                "tags": "[variables('tags')]",
                "properties": {"deleteOption": "Delete", "publicIPAllocationMethod": "Static"},
            }
        return {
            "name": f"{name}{names.INTERFACE}",
            "tags": "[variables('tags')]",
            "properties": {
                "primary": True,
                "deleteOption": "Delete",
                "networkSecurityGroup": {"id": group},
                "ipConfigurations": [{"name": "main", "properties": place}],
            },
        }

    def _has_address(self, batch: Batch) -> bool:
        if batch.role is Role.SCHEDULER:
            return self.account.public_scheduler or self.account.public_workers
        return self.account.public_workers

    def _security_group(self, batch: Batch, region: str) -> str:
        cidrs = batch.ingress
        name = names.open_group(region, cidrs) if _is_open(batch) else names.closed_group(region)
        return names.security_group_id(self.account, name)

    def _open_group(self, batch: Batch, region: str) -> Body:
        return {
            "type": "Microsoft.Network/networkSecurityGroups",
            "apiVersion": NETWORK_API,
            "name": names.open_group(region, batch.ingress),
            "location": region,
            "tags": {names.MADE_BY_TAG: names.SETUP},
            "properties": {"securityRules": [door(batch.ingress)]},
        }


class Secrets(msgspec.Struct, frozen=True):
    """What is in no template: told to Azure as parameters."""

    boot: str  # base64
    ssh_key: str  # public; nobody keeps the other half

    def __repr__(self) -> str:
        return "Secrets(…)"


def encoded(boot_text: str) -> str:
    return base64.b64encode(boot_text.encode()).decode()


def door(cidrs: Sequence[str]) -> Body:
    """A rule: these may reach a head's agent, scheduler and dashboard."""
    return {
        "name": "clients",
        "properties": {
            "priority": 1000,
            "direction": "Inbound",
            "access": "Allow",
            "protocol": "Tcp",
            "sourceAddressPrefixes": sorted(set(cidrs)),
            "sourcePortRange": "*",
            "destinationAddressPrefix": "*",
            "destinationPortRanges": [str(it) for it in _PORTS],
        },
    }


def literal(text: str) -> str:
    """A template takes what begins with a bracket for an expression."""
    return f"[{text}" if text.startswith("[") else text


_PORTS = (SCHEDULER_PORT, DASHBOARD_PORT, AGENT_PORT)
_SPOT: Body = {
    "priority": "Spot",
    "evictionPolicy": "Delete",
    "billingProfile": {"maxPrice": -1},  # up to the on-demand price
}


def _is_open(batch: Batch) -> bool:
    return batch.role is Role.SCHEDULER and bool(batch.ingress)


def _os_profile(name: str) -> Body:
    """Azure wants a person who may log in; this one's private key was thrown away."""
    keys = [{"path": "/home/shoal/.ssh/authorized_keys", "keyData": "[parameters('sshKey')]"}]
    return {
        "computerName": name,
        "adminUsername": "shoal",
        "customData": "[parameters('bootText')]",
        "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": {"publicKeys": keys}},
    }

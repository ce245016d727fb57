"""What the server's identity must be allowed in Google Cloud, each with the reason; and the role.

`setup` needs more (networks, rules), and runs as the user.
"""

from __future__ import annotations

from shoal.clouds.account import Permission
from shoal.wire.accounts import GcpAccount

ALL = (
    Permission("compute.instances.create", "launch a batch"),
    Permission("compute.instances.delete", "end VMs"),
    Permission("compute.instances.list", "see what there is"),
    Permission("compute.instances.setLabels", "whose a VM is, in the same call"),
    Permission("compute.instances.setMetadata", "a VM's boot text"),
    Permission("compute.instances.setTags", "which rules of the network are for a VM"),
    Permission("compute.instances.setServiceAccount", "VMs' own identity, where one is named"),
    Permission("compute.disks.create", "a VM's disk"),
    Permission("compute.disks.delete", "disks that a VM left behind"),
    Permission("compute.disks.list", "see what a VM left behind"),
    Permission("compute.disks.setLabels", "whose a disk is"),
    Permission("compute.subnetworks.use", "a VM's place in the network"),
    Permission("compute.subnetworks.useExternalIp", "a VM's public address"),
    Permission("compute.regionOperations.get", "what became of a batch"),
    Permission("compute.zoneOperations.get", "what became of an end"),
    Permission("compute.globalOperations.get", "what became of a rule"),
    Permission("compute.firewalls.get", "who may reach a scheduler"),
    Permission("compute.firewalls.create", "who may reach a scheduler"),
    Permission("compute.networks.updatePolicy", "who may reach a scheduler"),
    Permission("compute.regions.get", "quotas"),
    Permission("compute.machineTypes.list", "machine types of the catalog, once a day"),
    Permission("compute.images.useReadOnly", "boot the image"),
    Permission("compute.advice.capacity", "ask where spot VMs are likely to be had"),
)


def role(account: GcpAccount) -> str:
    """For `gcloud iam roles create shoal --project PROJECT --file FILE`."""
    lines = [
        "title: Shoal",
        f"description: Launches and ends VMs of Dask clusters in {account.project}",
        "stage: GA",
        "includedPermissions:",
        *(f"- {it.name}" for it in ALL),
    ]
    return "\n".join(lines) + "\n"

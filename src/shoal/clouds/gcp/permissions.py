"""What the server's identity must be allowed in Google Cloud, each with the reason; and the role.

`setup` needs more (SETUP), and runs as the user.
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
    Permission("iam.serviceAccounts.actAs", "lend VMs their own identity, where they have one"),
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
    Permission("compute.acceleratorTypes.list", "in which zones which GPUs are, once a day"),
    Permission("compute.images.useReadOnly", "boot the image"),
    Permission("compute.advice.capacity", "ask where spot VMs are likely to be had"),
)
# What whoever runs `shoal setup gcp` needs besides: once, not the server.
SETUP = (
    Permission("iam.serviceAccounts.create", "the VMs' identity"),
    Permission("iam.serviceAccounts.get", "see whether it is there"),
    Permission("iam.serviceAccounts.delete", "take it away again"),
    Permission("compute.networks.get", "see whether the network is there"),
    Permission("compute.networks.create", "the network"),
    Permission("compute.networks.delete", "take it away again"),
    Permission("compute.subnetworks.get", "see whether a region's subnet is there"),
    Permission("compute.subnetworks.list", "which ranges are taken, and what is to be removed"),
    Permission("compute.subnetworks.create", "a region's subnet"),
    Permission("compute.subnetworks.delete", "take it away again"),
    Permission("compute.firewalls.list", "which rules are to be removed"),
    Permission("compute.firewalls.delete", "take them away again"),
    Permission("compute.projects.get", "quotas of all regions"),
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

"""A batch as two requests to EC2: a launch template, and an instant fleet of it.

The template holds what all VMs of the batch share, the boot text among it; the fleet names the
alternatives – a machine type in a subnet each – and how many. Everything is in the batch's row and
in the prepared network, so the same batch gives the same requests.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from shoal.clouds.aws import identity, names
from shoal.clouds.aws.network import Image, Place
from shoal.core.obtainability import Question
from shoal.core.records import Batch, Offer
from shoal.wire.accounts import AwsAccount
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Role


def template(
    account: AwsAccount,
    installation: InstallationId,
    batch: Batch,
    boot_text: str,
    image: Image,
    groups: Sequence[str],
) -> dict[str, Any]:
    """The arguments of CreateLaunchTemplate."""
    tags = names.tag_list(names.tags(batch, installation))
    data: dict[str, Any] = {
        "ImageId": image.id,
        "UserData": base64.b64encode(boot_text.encode()).decode(),
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "BlockDeviceMappings": [{"DeviceName": image.root, "Ebs": _disk(batch)}],
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "Groups": list(groups),
                "AssociatePublicIpAddress": _is_public(account, batch),
                "DeleteOnTermination": True,
            }
        ],
        "TagSpecifications": [
            {"ResourceType": it, "Tags": tags} for it in ("instance", "volume", "network-interface")
        ],
    }
    if account.instance_profile not in ("", identity.NONE):
        data["IamInstanceProfile"] = {"Name": account.instance_profile}
    return {
        "LaunchTemplateName": names.template(installation, batch),
        "LaunchTemplateData": data,
        "TagSpecifications": [{"ResourceType": "launch-template", "Tags": tags}],
    }


def fleet(
    installation: InstallationId, batch: Batch, offers: Sequence[Offer], place: Place
) -> dict[str, Any]:
    """The arguments of CreateFleet. Of on-demand VMs the first alternative that is to be had is
    taken; of spot, EC2 weighs their prices against how soon it would want them back, or, where the
    user has an order of preference, that order."""
    spot = batch.offers[0].spot
    overrides = [
        {
            "InstanceType": it.machine_type,
            "SubnetId": place.subnets[it.zone],
            "Priority": float(rank),
        }
        for rank, it in enumerate(offers)
    ]
    template = {"LaunchTemplateName": names.template(installation, batch), "Version": "1"}
    made: dict[str, Any] = {
        "ClientToken": names.token(installation, batch.id),
        "Type": "instant",
        "LaunchTemplateConfigs": [
            {"LaunchTemplateSpecification": template, "Overrides": overrides}
        ],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": batch.count,
            "DefaultTargetCapacityType": "spot" if spot else "on-demand",
        },
        "TagSpecifications": [
            {"ResourceType": "fleet", "Tags": names.tag_list(names.tags(batch, installation))}
        ],
    }
    if spot:
        made["SpotOptions"] = {
            "AllocationStrategy": (
                "capacity-optimized-prioritized" if batch.preferred else "price-capacity-optimized"
            ),
            "InstanceInterruptionBehavior": "terminate",
        }
    else:
        made["OnDemandOptions"] = {"AllocationStrategy": "prioritized"}
    return made


def scores(asked: Question) -> dict[str, Any]:
    """The arguments of GetSpotPlacementScores."""
    return {
        "InstanceTypes": list(asked.machine_types),
        "TargetCapacity": asked.count,
        "TargetCapacityUnitType": "units",
        "SingleAvailabilityZone": True,
        "RegionNames": [asked.region],
    }


def _disk(batch: Batch) -> dict[str, Any]:
    """It goes with its VM."""
    made: dict[str, Any] = {"VolumeType": "gp3", "DeleteOnTermination": True}
    if batch.disk_gib:
        made["VolumeSize"] = batch.disk_gib
    return made


def _is_public(account: AwsAccount, batch: Batch) -> bool:
    head = batch.role is Role.SCHEDULER
    return account.public_scheduler if head else account.public_workers

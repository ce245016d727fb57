"""What this installation has in a region: its instances, and what they or a launch left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from shoal.clouds.aws import names
from shoal.core.records import Vm
from shoal.wire.boot import AGENT_PORT
from shoal.wire.ids import InstallationId

_LIVING = frozenset({"pending", "running"})
# "terminated" is over: EC2 goes on showing it for an hour. "stopped" never happens by itself, and
# its disk is billed.
_LISTED = ("pending", "running", "shutting-down", "stopping", "stopped")
_PAGE = 1000
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

TEMPLATE, DISK, INTERFACE = "template", "disk", "interface"


def instances(ec2: Any, installation: InstallationId, region: str) -> list[Vm]:
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[_ours(installation), {"Name": "instance-state-name", "Values": list(_LISTED)}],
        PaginationConfig={"PageSize": _PAGE},
    )
    return [
        _vm(it, region)
        for page in pages
        for held in page["Reservations"]
        for it in held["Instances"]
    ]


def leftovers(ec2: Any, installation: InstallationId, region: str) -> Iterator[Vm]:
    """Templates of launches, and disks and interfaces that no VM has. Nameless: one that is about
    to be used is known by its batch."""
    ours, free = _ours(installation), {"Name": "status", "Values": ["available"]}
    for page in ec2.get_paginator("describe_launch_templates").paginate(Filters=[ours]):
        for it in page["LaunchTemplates"]:
            yield _left(it, TEMPLATE, it["LaunchTemplateId"], it["CreateTime"], region)
    for page in ec2.get_paginator("describe_volumes").paginate(Filters=[ours, free]):
        for it in page["Volumes"]:
            yield _left(it, DISK, it["VolumeId"], it["CreateTime"], region)
    for page in ec2.get_paginator("describe_network_interfaces").paginate(Filters=[ours, free]):
        for it in page["NetworkInterfaces"]:
            # EC2 does not tell since when it is there.
            yield _left(it, INTERFACE, it["NetworkInterfaceId"], _LONG_AGO, region)


def _vm(it: Mapping[str, Any], region: str) -> Vm:
    tags = names.tags_of(it)
    inside, outside = it.get("PrivateIpAddress", ""), it.get("PublicIpAddress", "")
    head = any(group["GroupName"].startswith("shoal-head-") for group in it["SecurityGroups"])
    address = outside if head and outside else inside
    return Vm(
        id=it["InstanceId"],
        name="",
        batch=tags.get(names.BATCH_TAG, ""),
        cluster=tags.get(names.CLUSTER_TAG, ""),
        created_at=it["LaunchTime"].astimezone(UTC),
        running=it["State"]["Name"] in _LIVING,
        address=f"{address}:{AGENT_PORT}" if address else "",
        inside=f"{inside}:{AGENT_PORT}" if inside else "",
        region=region,
        zone=it["Placement"]["AvailabilityZone"],
        machine_type=it["InstanceType"],
        spot=it.get("InstanceLifecycle") == "spot",
    )


def _left(it: Mapping[str, Any], kind: str, id: str, since: datetime, region: str) -> Vm:
    tags = names.tags_of(it) or {tag["Key"]: tag["Value"] for tag in it.get("TagSet", ())}
    return Vm(
        id=id,
        name="",
        batch=tags.get(names.BATCH_TAG, ""),
        cluster=tags.get(names.CLUSTER_TAG, ""),
        created_at=since.astimezone(UTC),
        region=region,
        kind=kind,
    )


def _ours(installation: InstallationId) -> dict[str, Any]:
    return {"Name": f"tag:{names.INSTALLATION_TAG}", "Values": [installation]}

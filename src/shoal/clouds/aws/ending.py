"""VMs and leftovers of a region ended: many by one call, and what is absent is ended.

EC2 refuses a call that names one instance it does not know, and then ends none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from shoal.clouds.aws import inventory
from shoal.clouds.aws.clients import Clients, code_of
from shoal.clouds.aws.errors import absent
from shoal.clouds.provider import LaunchError
from shoal.core.records import Vm

_MOST = 500  # of one call
_ABSENT = frozenset(
    {
        "InvalidInstanceID.NotFound",
        "InvalidLaunchTemplateId.NotFound",
        "InvalidLaunchTemplateId.NotFoundException",
        "InvalidVolume.NotFound",
        "InvalidNetworkInterfaceID.NotFound",
    }
)


async def end(clients: Clients, region: str, vms: Sequence[Vm]) -> Sequence[LaunchError]:
    """What went wrong; the others were asked to end all the same."""
    errors: list[LaunchError] = []
    for work in _works(clients.ec2(region), vms):
        try:
            await clients.unless(_ABSENT, work)
        except LaunchError as error:
            errors.append(error)
    return errors


def _works(ec2: Any, vms: Sequence[Vm]) -> Iterator[Callable[[], object]]:
    ids = [it.id for it in vms if it.kind == "vm"]
    for start in range(0, len(ids), _MOST):
        yield _instances(ec2, ids[start : start + _MOST])
    for it in vms:
        match it.kind:
            case inventory.TEMPLATE:
                yield _one(ec2.delete_launch_template, LaunchTemplateId=it.id)
            case inventory.DISK:
                yield _one(ec2.delete_volume, VolumeId=it.id)
            case inventory.INTERFACE:
                yield _one(ec2.delete_network_interface, NetworkInterfaceId=it.id)


def _one(delete: Callable[..., object], **named: str) -> Callable[[], object]:
    return lambda: delete(**named)


def _instances(ec2: Any, ids: Sequence[str]) -> Callable[[], object]:
    def terminate() -> None:
        try:
            ec2.terminate_instances(InstanceIds=list(ids))
        except ClientError as error:
            if code_of(error) != "InvalidInstanceID.NotFound":
                raise
            gone = set(absent(error.response["Error"]["Message"])) & set(ids)
            there = [it for it in ids if it not in gone]
            if there and gone:
                ec2.terminate_instances(InstanceIds=there)
            elif there:
                raise

    return terminate

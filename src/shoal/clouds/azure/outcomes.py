"""What became of a deployment: which VMs were accepted, which were not, and why.

Azure answers a deployment before it has found room, and tells of each VM in the list of the
deployment's operations. Pure: operations in, accepted names and errors out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from shoal.clouds.azure.errors import Fault, FaultBody, launch_error
from shoal.clouds.provider import Shortfall, final
from shoal.core.records import Offer
from shoal.wire.ids import InstanceId

VM_TYPE = "microsoft.compute/virtualmachines"
OVER = frozenset({"Succeeded", "Failed", "Canceled"})

# The VM is there and runs: only its guest's report did not come (an image without Azure's agent).
STARTED_ALL_THE_SAME = frozenset({"OSProvisioningTimedOut", "OSProvisioningClientError"})


class _Target(msgspec.Struct, frozen=True, rename="camel"):
    resource_type: str = ""
    resource_name: str = ""


class _OperationProperties(msgspec.Struct, frozen=True, rename="camel"):
    provisioning_state: str = ""
    provisioning_operation: str = ""
    status_message: FaultBody | None = None
    target_resource: _Target | None = None


class Operation(msgspec.Struct, frozen=True, rename="camel"):
    properties: _OperationProperties = _OperationProperties()

    @property
    def vm(self) -> str:
        target = self.properties.target_resource
        is_vm = target is not None and target.resource_type.lower() == VM_TYPE
        return target.resource_name if target is not None and is_vm else ""

    @property
    def fault(self) -> Fault | None:
        """Why it failed, where it did."""
        if self.properties.provisioning_state not in ("Failed", "Canceled"):
            return None
        told = self.properties.status_message or FaultBody()
        return told.error.causes()[0]


class _DeploymentProperties(msgspec.Struct, frozen=True, rename="camel"):
    provisioning_state: str = ""
    error: Fault | None = None


class Deployment(msgspec.Struct, frozen=True):
    name: str = ""
    tags: dict[str, str] | None = None
    properties: _DeploymentProperties = _DeploymentProperties()

    @property
    def over(self) -> bool:
        return self.properties.provisioning_state in OVER

    @property
    def failed(self) -> bool:
        return self.over and self.properties.provisioning_state != "Succeeded"


class Outcome(msgspec.Struct, frozen=True):
    accepted: tuple[InstanceId, ...]
    failed: tuple[InstanceId, ...]  # there may be something of them that must go
    shortfalls: tuple[Shortfall, ...]


def read(
    deployment: Deployment,
    operations: Sequence[Operation],
    instances: Sequence[InstanceId],
    offer: Offer,
    now: datetime,
) -> Outcome:
    faults = {it.vm: it.fault for it in operations if it.vm and it.fault}
    started = {it.vm for it in operations if it.vm and not it.fault}
    if deployment.failed:
        why = _why_failed(deployment, operations)
        faults |= {it: why for it in instances if it not in started and it not in faults}
    failed = tuple(it for it in instances if _failed(faults.get(it)))
    accepted = tuple(it for it in instances if it not in set(failed))
    return Outcome(accepted, failed, tuple(_shortfalls(faults, failed, offer, now)))


def _failed(fault: Fault | None) -> bool:
    return fault is not None and fault.code not in STARTED_ALL_THE_SAME


def _why_failed(deployment: Deployment, operations: Sequence[Operation]) -> Fault:
    first = next((it.fault for it in operations if it.fault), None)
    whole = deployment.properties.error
    return first or (whole.causes()[0] if whole else Fault(message="the deployment was ended"))


def _shortfalls(
    faults: Mapping[str, Fault | None], failed: Sequence[str], offer: Offer, now: datetime
) -> list[Shortfall]:
    """One a reason."""
    by_code: dict[str, list[Fault]] = {}
    for it in failed:
        fault = faults[it] or Fault()
        by_code.setdefault(fault.code, []).append(fault)
    return [
        Shortfall(len(same), final(launch_error(same[0], offer, now=now), offer))
        for same in by_code.values()
    ]

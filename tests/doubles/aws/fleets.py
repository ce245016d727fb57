"""An instant fleet, as moto does not make one: room in pools, an error for each that is empty.

The VMs are moto's own, made of the launch template and the override that had room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tests.doubles.aws.knobs import Knobs

_SAID = {
    "InsufficientInstanceCapacity": "We currently do not have sufficient capacity there.",
    "VcpuLimitExceeded": "More vCPUs were requested than the current limit allows.",
    "MaxSpotInstanceCountExceeded": "Max spot instance count exceeded",
}


class Refusal(Exception):
    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class _Pool(msgspec.Struct, frozen=True):
    type_: str
    subnet: str
    zone: str
    override: Mapping[str, str]


def create(backend: Any, request: Mapping[str, Any], knobs: Knobs) -> dict[str, Any]:
    """`request` as CreateFleet's; `backend`: moto's of the region. The answer as boto3 gives it."""
    if request["Type"] != "instant":
        raise Refusal("InvalidParameterValue", "this double makes instant fleets only")
    [config] = request["LaunchTemplateConfigs"]
    named = config["LaunchTemplateSpecification"]
    data = backend.get_launch_template_by_name(named["LaunchTemplateName"]).versions[0].data
    target = request["TargetCapacitySpecification"]
    spot = target["DefaultTargetCapacityType"] == "spot"
    pools = [
        _pool(backend, it)
        for it in _ranked(config["Overrides"], by_price=spot and not _prioritized(request))
    ]
    missing = int(target["TotalTargetCapacity"])
    made, errors = [], []
    for pool in pools:
        code, room = _room(backend, pool, knobs, spot=spot)
        count = min(room, missing)
        if count:
            made.append(
                _told(pool, named, spot, InstanceIds=_run(backend, data, pool, count, spot))
            )
        missing -= count
        if not missing:
            break
        said = _SAID.get(code, "It could not be launched.")
        errors.append(_told(pool, named, spot, ErrorCode=code, ErrorMessage=said))
    fleet = f"fleet-{abs(hash(request['ClientToken'])):032x}"[:42]
    return {"FleetId": fleet, "Instances": made, "Errors": errors if missing else []}


def _prioritized(asked: Mapping[str, Any]) -> bool:
    strategy = asked.get("SpotOptions", {}).get("AllocationStrategy", "")
    return str(strategy).endswith("-prioritized")


def _ranked(
    overrides: Sequence[Mapping[str, str]], *, by_price: bool
) -> Sequence[Mapping[str, str]]:
    """Amazon's own order by price, of which a caller knows nothing; here by name."""
    if by_price:
        return sorted(overrides, key=lambda it: (it["InstanceType"], it["SubnetId"]))
    return sorted(overrides, key=lambda it: float(it["Priority"]))


def _pool(backend: Any, override: Mapping[str, str]) -> _Pool:
    subnet = backend.get_subnet(override["SubnetId"])
    return _Pool(override["InstanceType"], subnet.id, subnet.availability_zone, override)


def _room(backend: Any, pool: _Pool, knobs: Knobs, *, spot: bool) -> tuple[str, int]:
    """The error of what does not fit, and how many do."""
    place = pool.zone, pool.type_
    if place in knobs.fleet_errors:
        return knobs.fleet_errors[place], 0
    there = [it for it in backend.all_instances() if it.state == "running"]
    used = sum((it.placement.zone, it.instance_type) == place for it in there)
    room = max(0, knobs.room.get(place, 1_000_000) - used)
    allowed = knobs.quota.get(backend.region_name, 1_000_000) - len(there)
    if allowed < room:
        return "MaxSpotInstanceCountExceeded" if spot else "VcpuLimitExceeded", max(0, allowed)
    return "InsufficientInstanceCapacity", room


def _run(backend: Any, data: Mapping[str, Any], pool: _Pool, count: int, spot: bool) -> list[str]:
    tags = {it["ResourceType"]: _tags(it["Tags"]) for it in data["TagSpecifications"]}
    [interface] = data["NetworkInterfaces"]
    made = backend.run_instances(
        data["ImageId"],
        count,
        data["UserData"],
        [],
        instance_type=pool.type_,
        is_instance_type_default=False,
        region_name=backend.region_name,
        subnet_id=pool.subnet,
        security_group_ids=list(interface["Groups"]),
        associate_public_ip=interface["AssociatePublicIpAddress"] in (True, "true"),
        block_device_mappings=[_sized(it) for it in data["BlockDeviceMappings"]],
        instance_initiated_shutdown_behavior=data["InstanceInitiatedShutdownBehavior"],
        metadata_options=data["MetadataOptions"],
        lifecycle="spot" if spot else None,
        tags=tags,
    )
    for instance in made.instances:
        for nic in instance.nics.values():
            nic.add_tags(tags["network-interface"])
            nic.delete_on_termination = True
    return [str(it.id) for it in made.instances]


def _sized(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """A disk whose size is not said is as large as its image."""
    return {**mapping, "Ebs": {"VolumeSize": 8, **mapping["Ebs"]}}


def _told(pool: _Pool, named: Mapping[str, str], spot: bool, **more: object) -> dict[str, Any]:
    return {
        "LaunchTemplateAndOverrides": {
            "LaunchTemplateSpecification": dict(named),
            "Overrides": {**pool.override, "AvailabilityZone": pool.zone},
        },
        "Lifecycle": "spot" if spot else "on-demand",
        "InstanceType": pool.type_,
        **more,
    }


def _tags(told: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {it["Key"]: it["Value"] for it in told}

"""A batch as one request to Compute Engine: `regionInstances.bulkInsert`.

Everything is in the batch's row, so the same batch gives the same request: which VMs by name, which
machine types in order of preference, which zones, for how long, with which disks and labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from google.cloud import compute_v1

from shoal.clouds import images
from shoal.clouds.gcp import accelerators, identity, names
from shoal.core.obtainability import Question
from shoal.core.records import Batch, Offer
from shoal.wire.accounts import GcpAccount
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Role

NOTICE_S = 120  # before a preemption
# Families whose disks are Hyperdisk, and never Persistent Disk; older ones are the other way round,
# and c3, c3d, h3 and m3 take both (https://cloud.google.com/compute/docs/disks/hyperdisks, read
# 2026-11; not tried).
_HYPERDISK = frozenset(
    {"c4", "c4a", "c4d", "n4", "n4a", "n4d", "h4d", "m4", "m4n", "x4", "a4", "a4x", "g4"}
)
_HYPERDISK_TYPES = ("a3-ultragpu-",)
_UBUNTU = {
    "x86_64": "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64",
    "aarch64": "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-arm64",
}
# With NVIDIA's driver (https://cloud.google.com/compute/docs/gpus/install-drivers-gpu; not tried).
_UBUNTU_GPU = (
    "projects/ubuntu-os-accelerator-images/global/images/family/"
    "ubuntu-accelerator-2404-amd64-with-nvidia-570"
)
_CLOUD = "https://www.googleapis.com/auth/cloud-platform"


def of_one_kind(batch: Batch) -> Batch:
    """With those alternatives that one request can ask for: GPUs are attached to all of its
    machines or to none, so what has others than the first is left for a next batch."""
    first = _gpus(batch.offers[0])
    offers = tuple(it for it in batch.offers if _gpus(it) == first)
    return msgspec.structs.replace(batch, offers=offers)


def bulk_insert(
    account: GcpAccount, installation: InstallationId, batch: Batch, boot_text: str
) -> dict[str, Any]:
    """The arguments of the call."""
    region = batch.offers[0].region
    return {
        "project": account.project,
        "region": region,
        "request_id": names.request_id(installation, batch.id),
        "bulk_insert_instance_resource_resource": compute_v1.BulkInsertInstanceResource(
            count=batch.count,
            min_count=1,
            per_instance_properties={name: {"name": name} for name in batch.instances},
            instance_properties=_properties(account, installation, batch, boot_text),
            instance_flexibility_policy=_selections(account, installation, batch),
            location_policy=_places(batch),
        ),
    }


def capacity(account: GcpAccount, asked: Question) -> dict[str, Any]:
    """The arguments of a question for spot capacity, all of it in one zone."""
    alike: dict[accelerators.Attached, list[str]] = {}  # by the GPUs that are attached
    for it in map(accelerators.taken_apart, asked.machine_types):
        alike.setdefault(it._replace(machine_type=""), []).append(it.machine_type)
    zones = [{"zone": f"projects/{account.project}/zones/{it}"} for it in asked.zones]
    return {
        "project": account.project,
        "region": asked.region,
        "capacity_advice_request_resource": compute_v1.CapacityAdviceRequest(
            size=asked.count,
            instance_properties={"scheduling": {"provisioning_model": "SPOT"}},
            instance_flexibility_policy={
                "instance_selections": {
                    f"choice-{number}": {
                        "machine_types": types,
                        "guest_accelerators": _accelerators(gpus),
                    }
                    for number, (gpus, types) in enumerate(alike.items())
                }
            },
            distribution_policy={"zones": zones, "target_shape": "ANY_SINGLE_ZONE"},
        ),
    }


def disk_type(machine_type: str) -> str:
    family = machine_type.partition("-")[0]
    only = family in _HYPERDISK or machine_type.startswith(_HYPERDISK_TYPES)
    return "hyperdisk-balanced" if only or machine_type.endswith("-metal") else "pd-balanced"


def image_of(account: GcpAccount, batch: Batch, offer: Offer) -> str:
    """By family: Compute Engine takes the newest of it at launch."""
    own = batch.image or images.named(account.image, offer)
    return own or (_UBUNTU_GPU if offer.gpu else _UBUNTU[offer.arch])


def _properties(
    account: GcpAccount, installation: InstallationId, batch: Batch, boot_text: str
) -> compute_v1.InstanceProperties:
    labels = names.labels(batch, installation)
    made = compute_v1.InstanceProperties(
        labels=labels,
        disks=[_disk(account, batch, batch.offers[0], labels)],  # a selection's own override it
        network_interfaces=[_interface(account, batch)],
        tags=compute_v1.Tags(items=_network_tags(account, batch)),
        metadata=compute_v1.Metadata(items=[compute_v1.Items(key="user-data", value=boot_text)]),
        scheduling=_scheduling(batch),
    )
    if account.service_account not in ("", identity.NONE):
        made.service_accounts = [
            compute_v1.ServiceAccount(email=account.service_account, scopes=[_CLOUD])
        ]
    if guest := _accelerators(accelerators.taken_apart(batch.offers[0].machine_type)):
        made.guest_accelerators = guest
    return made


def _selections(
    account: GcpAccount, installation: InstallationId, batch: Batch
) -> compute_v1.InstanceFlexibilityPolicy:
    """Each type once, ranked as the batch has them: the first is the best. Each with its own disk,
    for the kinds of disks and the images differ."""
    labels = names.labels(batch, installation)
    types: dict[str, Offer] = {}
    for it in batch.offers:
        types.setdefault(it.machine_type, it)
    return compute_v1.InstanceFlexibilityPolicy(
        instance_selections={
            f"choice-{rank}": compute_v1.InstanceFlexibilityPolicyInstanceSelection(
                machine_types=[accelerators.taken_apart(it.machine_type).machine_type],
                rank=rank,
                disks=[_disk(account, batch, it, labels)],
            )
            for rank, it in enumerate(types.values())
        }
    )


def _places(batch: Batch) -> compute_v1.LocationPolicy:
    zones = list(dict.fromkeys(it.zone for it in batch.offers))
    allowed = compute_v1.LocationPolicyLocation(preference="ALLOW")
    return compute_v1.LocationPolicy(
        locations={f"zones/{it}": allowed for it in zones},
        zones=[compute_v1.LocationPolicyZoneConfiguration(zone=f"zones/{it}") for it in zones],
        target_shape="ANY_SINGLE_ZONE" if len(zones) == 1 else "ANY",
    )


def _disk(
    account: GcpAccount, batch: Batch, offer: Offer, labels: dict[str, str]
) -> compute_v1.AttachedDisk:
    """It goes with its VM."""
    parameters = compute_v1.AttachedDiskInitializeParams(
        source_image=image_of(account, batch, offer),
        disk_type=disk_type(offer.machine_type),
        labels=labels,
    )
    if batch.disk_gib:
        parameters.disk_size_gb = batch.disk_gib
    return compute_v1.AttachedDisk(boot=True, auto_delete=True, initialize_params=parameters)


def _interface(account: GcpAccount, batch: Batch) -> compute_v1.NetworkInterface:
    region = batch.offers[0].region
    public = account.public_scheduler if batch.role is Role.SCHEDULER else account.public_workers
    made = compute_v1.NetworkInterface(
        network=names.network(account),
        subnetwork=names.subnet(account, region),
    )
    if public:
        made.access_configs = [compute_v1.AccessConfig(name="external", type_="ONE_TO_ONE_NAT")]
    return made


def _network_tags(account: GcpAccount, batch: Batch) -> Sequence[str]:
    head = batch.role is Role.SCHEDULER and batch.ingress
    return [names.VM_TAG, *([names.ingress_rule(account, batch.ingress)] if head else [])]


def _scheduling(batch: Batch) -> compute_v1.Scheduling:
    """A VM that ends is deleted, so that its disk is not billed on."""
    spot, gpu = batch.offers[0].spot, batch.offers[0].gpu
    made = compute_v1.Scheduling(
        provisioning_model="SPOT" if spot else "STANDARD",
        automatic_restart=False,
        on_host_maintenance="TERMINATE" if spot or gpu else "MIGRATE",
    )
    if batch.lifetime_s:
        made.max_run_duration = compute_v1.Duration(seconds=int(batch.lifetime_s))
    if spot:
        made.preemption_notice_duration = compute_v1.Duration(seconds=NOTICE_S)
    if spot or batch.lifetime_s:
        made.instance_termination_action = "DELETE"
    return made


def _accelerators(it: accelerators.Attached) -> list[compute_v1.AcceleratorConfig]:
    """Families whose types have GPUs built in need none said."""
    if not it.number:
        return []
    return [
        compute_v1.AcceleratorConfig(accelerator_type=it.accelerator, accelerator_count=it.number)
    ]


def _gpus(offer: Offer) -> tuple[str, int]:
    it = accelerators.taken_apart(offer.machine_type)
    return it.accelerator, it.number

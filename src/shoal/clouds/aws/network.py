"""Where VMs go in a region: its network's subnets and groups, and the image they boot from.

Found by tag (the network that `shoal setup aws` made) or in the network that the account names.
A subnet a zone: those tagged as Shoal's before others, then by id, so that a repeated launch finds
the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shoal.clouds import images
from shoal.clouds.aws import names
from shoal.clouds.aws.clients import Clients
from shoal.clouds.provider import Refused, Scope
from shoal.core.records import Batch
from shoal.wire.accounts import AwsAccount
from shoal.wire.boot import AGENT_PORT, DASHBOARD_PORT, SCHEDULER_PORT

# Canonical's, refreshed by it (https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/).
_UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/{arch}/hvm/ebs-gp3/ami-id"
_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
# Amazon's Ubuntu with NVIDIA's driver
# (https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html; not tried).
_UBUNTU_GPU = (
    "/aws/service/deeplearning/ami/{arch}/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)
_GPU_ARCH = {"x86_64": "x86_64", "aarch64": "arm64"}
_DUPLICATE = frozenset({"InvalidGroup.Duplicate", "InvalidPermission.Duplicate"})


class Place(msgspec.Struct, frozen=True):
    """A region of the account, prepared."""

    vpc: str
    subnets: dict[str, str]  # zone → subnet
    group: str  # security group of all VMs


class Image(msgspec.Struct, frozen=True):
    id: str  # "ami-…"
    root: str  # device name of its root disk


def image_name(account: AwsAccount, batch: Batch) -> str:
    """ "ami-…", an SSM parameter ("/…"), or the name of images of the account itself."""
    offer = batch.offers[0]
    named = batch.image or images.named(account.image, offer)
    if named:
        return named
    if offer.gpu:
        return _UBUNTU_GPU.format(arch=_GPU_ARCH[offer.arch])
    return ubuntu(offer.arch)


def ubuntu(arch: str) -> str:
    """Its SSM parameter. `arch`: "x86_64" or "aarch64"."""
    return _UBUNTU.format(arch=_ARCH[arch])


class Network:
    def __init__(self, account: AwsAccount, clients: Clients) -> None:
        self._account = account
        self._clients = clients
        self._places: dict[str, Place] = {}
        self._images: dict[tuple[str, str], Image] = {}

    def forget(self, region: str) -> None:
        """What was found there may have changed: it did not do."""
        self._places.pop(region, None)
        for key in [it for it in self._images if it[0] == region]:
            del self._images[key]

    async def place(self, region: str) -> Place:
        """Raises Refused where the region is not prepared."""
        if region not in self._places:
            self._places[region] = await self._clients.call(lambda: self._find(region))
        return self._places[region]

    async def image(self, region: str, name: str) -> Image:
        """The newest of that name, when it was first asked for."""
        if (region, name) not in self._images:
            found = await self._clients.call(lambda: self._resolve(region, name))
            self._images[region, name] = found
        return self._images[region, name]

    async def ingress(self, region: str, vpc: str, cidrs: Sequence[str]) -> str:
        """One group for all clusters of a network that name the same addresses."""
        ec2, name = self._clients.ec2(region), names.ingress_group(cidrs)

        def find() -> str:
            wanted = [names.where("group-name", name), names.where("vpc-id", vpc)]
            found = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
            return str(found[0]["GroupId"]) if found else ""

        def make() -> str:
            made = ec2.create_security_group(
                GroupName=name,
                Description="Shoal: who may reach the heads of clusters",
                VpcId=vpc,
                TagSpecifications=[
                    {
                        "ResourceType": "security-group",
                        "Tags": names.tag_list({names.SETUP_TAG: "ingress", "Name": name}),
                    }
                ],
            )
            return str(made["GroupId"])

        id: str | None = await self._clients.call(find)
        if not id:
            id = await self._clients.unless(_DUPLICATE, make)
        if not id:  # another launch was quicker
            id = await self._clients.call(find)
        await self._clients.unless(
            _DUPLICATE,
            lambda: ec2.authorize_security_group_ingress(GroupId=id, IpPermissions=_let_in(cidrs)),
        )
        return id

    def _find(self, region: str) -> Place:
        ec2 = self._clients.ec2(region)
        vpc = own = names.own_vpc(self._account, region)
        if not vpc:
            wanted = [names.where(f"tag:{names.SETUP_TAG}", names.NETWORK)]
            found = ec2.describe_vpcs(Filters=wanted)["Vpcs"]
            if not found:
                raise _not_prepared(f"AWS has no network of Shoal's in {region}.", region)
            vpc = min(str(it["VpcId"]) for it in found)
        subnets = ec2.describe_subnets(Filters=[names.where("vpc-id", vpc)])["Subnets"]
        wanted = [names.where("vpc-id", vpc), names.where("group-name", names.VM_GROUP)]
        groups = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
        if own and (named := names.own_subnets(self._account)):
            subnets = [it for it in subnets if it["SubnetId"] in named]
        if own and not subnets:
            raise _no_subnet(vpc, region, chosen=bool(names.own_subnets(self._account)))
        if not subnets or not groups:
            lacks = "subnet" if not subnets else f"security group {names.VM_GROUP}"
            raise _not_prepared(f"The network {vpc} in {region} has no {lacks}.", region)
        return Place(vpc, _one_a_zone(subnets), str(groups[0]["GroupId"]))

    def _resolve(self, region: str, name: str) -> Image:
        ec2 = self._clients.ec2(region)
        if name.startswith("/"):
            told = self._clients.ssm(region).get_parameter(Name=name)
            found = ec2.describe_images(ImageIds=[str(told["Parameter"]["Value"])])["Images"]
        elif name.startswith("ami-"):
            found = ec2.describe_images(ImageIds=[name])["Images"]
        else:
            found = ec2.describe_images(Owners=["self"], Filters=[names.where("name", name)])[
                "Images"
            ]
        if not found:
            raise Refused(
                f"There is no image {name} in {region}.",
                scope=Scope(alone=True),
                hint="Name another one, or none: Ubuntu LTS is taken then.",
            )
        newest = max(found, key=lambda it: str(it.get("CreationDate", "")))
        return Image(str(newest["ImageId"]), str(newest.get("RootDeviceName", "/dev/sda1")))


def _one_a_zone(subnets: Sequence[Any]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for it in sorted(subnets, key=_rank):
        chosen.setdefault(str(it["AvailabilityZone"]), str(it["SubnetId"]))
    return chosen


def _rank(subnet: Any) -> tuple[bool, str]:
    return names.tags_of(subnet).get(names.SETUP_TAG) != names.SUBNET, str(subnet["SubnetId"])


def _let_in(cidrs: Sequence[str]) -> list[dict[str, Any]]:
    ports = (SCHEDULER_PORT, DASHBOARD_PORT, AGENT_PORT)
    v4 = [{"CidrIp": it} for it in sorted(set(cidrs)) if ":" not in it]
    v6 = [{"CidrIpv6": it} for it in sorted(set(cidrs)) if ":" in it]
    return [
        {"IpProtocol": "tcp", "FromPort": it, "ToPort": it, "IpRanges": v4, "Ipv6Ranges": v6}
        for it in ports
    ]


def _no_subnet(vpc: str, region: str, *, chosen: bool) -> Refused:
    which = "none of the subnets that the account names" if chosen else "no subnet"
    return Refused(
        f"The network {vpc}, which the account names, has {which} in {region}.",
        scope=Scope(region),
        hint=f"Name one of this region: shoal setup aws --set vpc={region}=vpc-…,OTHER=vpc-… "
        "--set subnets=subnet-…,subnet-…",
    )


def _not_prepared(words: str, region: str) -> Refused:
    return Refused(
        words, scope=Scope(region), hint=f"Prepare it once: shoal setup aws --region {region}"
    )

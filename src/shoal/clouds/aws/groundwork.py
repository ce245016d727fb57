"""What setup prepares in a region of AWS: a network of its own, looked for, made and taken away.

A VPC with a way out, a subnet in each zone, and the security group whose members reach each other.
All of it bears the tag `shoal`, by which it is found. Everything here blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from shoal.clouds.account import Step
from shoal.clouds.aws import names
from shoal.clouds.aws.clients import Clients
from shoal.wire.accounts import AwsAccount

NETWORK_RANGE = "10.142.0.0/16"  # a /20 of it in each zone
_GATEWAY, _VMS = "gateway", "vms"  # values of the tag, besides those in names
_ANYWHERE = "0.0.0.0/0"


class Thing(msgspec.Struct, frozen=True):
    what: str
    command: str
    get: Callable[[], Any]  # falsy: it is not there
    make: Callable[[], object]


class Groundwork:
    def __init__(self, account: AwsAccount, clients: Clients) -> None:
        self._account = account
        self._clients = clients

    def things(self, region: str) -> Sequence[Thing]:
        """In the order in which they are made. In a network that the account names, the group
        alone."""
        group = self._group(region)
        if self._own_vpc(region):
            return (group,)
        subnets = [self._subnet(region, zone) for zone in self._zones(region)]
        return (self._vpc(region), self._gateway(region), self._route(region), *subnets, group)

    def remove(self, region: str) -> Sequence[Step]:
        """What bears the tag: heads' groups too, which launches made."""
        ec2, steps = self._clients.ec2(region), []
        groups = ec2.describe_security_groups(Filters=_our(_VMS, "ingress"))["SecurityGroups"]
        for it in groups:
            ec2.delete_security_group(GroupId=it["GroupId"])
            steps.append(_gone("security-group", "group-id", it["GroupId"], region))
        for it in ec2.describe_subnets(Filters=_our(names.SUBNET))["Subnets"]:
            ec2.delete_subnet(SubnetId=it["SubnetId"])
            steps.append(_gone("subnet", "subnet-id", it["SubnetId"], region))
        for it in self._gateways(region):
            id = it["InternetGatewayId"]
            for attachment in it["Attachments"]:
                ec2.detach_internet_gateway(InternetGatewayId=id, VpcId=attachment["VpcId"])
            ec2.delete_internet_gateway(InternetGatewayId=id)
            steps.append(_gone("internet-gateway", "internet-gateway-id", id, region))
        for it in ec2.describe_vpcs(Filters=_our(names.NETWORK))["Vpcs"]:
            ec2.delete_vpc(VpcId=it["VpcId"])
            steps.append(_gone("vpc", "vpc-id", it["VpcId"], region))
        return steps

    def _vpc(self, region: str) -> Thing:
        ec2 = self._clients.ec2(region)

        def make() -> None:
            ec2.create_vpc(CidrBlock=NETWORK_RANGE, TagSpecifications=_tagged("vpc", names.NETWORK))

        return Thing(
            f"network in {region}: {NETWORK_RANGE}, for clusters alone",
            f"aws ec2 create-vpc --region {region} --cidr-block {NETWORK_RANGE} "
            + _tag_option("vpc", names.NETWORK),
            partial(self._vpc_id, region),
            make,
        )

    def _gateway(self, region: str) -> Thing:
        ec2 = self._clients.ec2(region)

        def attached() -> bool:
            found = self._gateways(region)
            return bool(found and found[0]["Attachments"])

        def make() -> None:
            found = self._gateways(region) or [
                ec2.create_internet_gateway(
                    TagSpecifications=_tagged("internet-gateway", _GATEWAY)
                )["InternetGateway"]
            ]
            ec2.attach_internet_gateway(
                InternetGatewayId=found[0]["InternetGatewayId"], VpcId=self._vpc_id(region)
            )

        return Thing(
            f"internet gateway in {region}: the way out, without a NAT to be paid",
            f"aws ec2 create-internet-gateway --region {region} "
            + _tag_option("internet-gateway", _GATEWAY)
            + "; aws ec2 attach-internet-gateway --internet-gateway-id IGW --vpc-id VPC",
            attached,
            make,
        )

    def _route(self, region: str) -> Thing:
        ec2 = self._clients.ec2(region)

        def there() -> bool:
            table = self._main_table(region)
            routes = table["Routes"] if table else ()
            return any(it.get("DestinationCidrBlock") == _ANYWHERE for it in routes)

        def make() -> None:
            table, [gateway] = self._main_table(region), self._gateways(region)
            ec2.create_route(
                RouteTableId=table["RouteTableId"],
                DestinationCidrBlock=_ANYWHERE,
                GatewayId=gateway["InternetGatewayId"],
            )

        return Thing(
            f"route in {region}: everything else by that gateway",
            f"aws ec2 create-route --region {region} --route-table-id RTB "
            f"--destination-cidr-block {_ANYWHERE} --gateway-id IGW",
            there,
            make,
        )

    def _subnet(self, region: str, zone: str) -> Thing:
        """Its range is its zone's, whichever zones there are besides."""
        ec2, cidr = self._clients.ec2(region), _range(zone)

        def there() -> Sequence[Any]:
            wanted = [names.where("availability-zone", zone), *_our(names.SUBNET)]
            return list(ec2.describe_subnets(Filters=wanted)["Subnets"])

        def make() -> None:
            ec2.create_subnet(
                VpcId=self._vpc_id(region),
                CidrBlock=cidr,
                AvailabilityZone=zone,
                TagSpecifications=_tagged("subnet", names.SUBNET),
            )

        return Thing(
            f"subnet in {zone}: {cidr}",
            f"aws ec2 create-subnet --region {region} --vpc-id VPC --cidr-block {cidr} "
            f"--availability-zone {zone} " + _tag_option("subnet", names.SUBNET),
            there,
            make,
        )

    def _group(self, region: str) -> Thing:
        ec2 = self._clients.ec2(region)

        def found() -> Sequence[Any]:
            vpc = self._vpc_id(region)
            wanted = [names.where("group-name", names.VM_GROUP), names.where("vpc-id", vpc)]
            return list(
                ec2.describe_security_groups(Filters=wanted)["SecurityGroups"] if vpc else ()
            )

        def ready() -> bool:
            groups = found()
            return bool(groups and groups[0]["IpPermissions"])

        def make() -> None:
            groups = found()
            id = groups[0]["GroupId"] if groups else self._make_group(region)
            itself = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": id}]}
            ec2.authorize_security_group_ingress(GroupId=id, IpPermissions=[itself])

        return Thing(
            f"security group {names.VM_GROUP} in {region}: VMs of clusters reach each other, "
            "nobody else reaches them",
            f"aws ec2 create-security-group --region {region} --group-name {names.VM_GROUP} "
            f"--vpc-id VPC --description Shoal {_tag_option('security-group', _VMS)}; aws ec2 "
            "authorize-security-group-ingress --group-id SG --protocol all --source-group SG",
            ready,
            make,
        )

    def _make_group(self, region: str) -> str:
        made = self._clients.ec2(region).create_security_group(
            GroupName=names.VM_GROUP,
            Description="Shoal: VMs of clusters reach each other",
            VpcId=self._vpc_id(region),
            TagSpecifications=_tagged("security-group", _VMS),
        )
        return str(made["GroupId"])

    def _own_vpc(self, region: str) -> str:
        return names.own_vpc(self._account, region)

    def _vpc_id(self, region: str) -> str:
        if own := self._own_vpc(region):
            return own
        found = self._clients.ec2(region).describe_vpcs(Filters=_our(names.NETWORK))["Vpcs"]
        return min((str(it["VpcId"]) for it in found), default="")

    def _gateways(self, region: str) -> Sequence[Any]:
        ec2 = self._clients.ec2(region)
        return list(ec2.describe_internet_gateways(Filters=_our(_GATEWAY))["InternetGateways"])

    def _main_table(self, region: str) -> Any:
        vpc = self._vpc_id(region)
        if not vpc:
            return None
        wanted = [names.where("vpc-id", vpc), names.where("association.main", "true")]
        found = self._clients.ec2(region).describe_route_tables(Filters=wanted)["RouteTables"]
        return found[0] if found else None

    def _zones(self, region: str) -> Sequence[str]:
        """Not local zones, nor those at the edge of a carrier's network."""
        told = self._clients.ec2(region).describe_availability_zones(
            Filters=[names.where("state", "available")]
        )
        return sorted(
            str(it["ZoneName"])
            for it in told["AvailabilityZones"]
            if it.get("ZoneType", "availability-zone") == "availability-zone"
        )


def _range(zone: str) -> str:
    """A /20 by the zone's letter, "a" to "p"."""
    return f"10.142.{16 * ((ord(zone[-1]) - ord('a')) % 16)}.0/20"


def _gone(kind: str, option: str, id: str, region: str) -> Step:
    command = f"aws ec2 delete-{kind} --region {region} --{option} {id}"
    return Step(f"{kind} {id} in {region}", command, done=True)


def _tagged(kind: str, value: str) -> list[dict[str, Any]]:
    tags = names.tag_list({names.SETUP_TAG: value, "Name": f"shoal {value}"})
    return [{"ResourceType": kind, "Tags": tags}]


def _tag_option(kind: str, value: str) -> str:
    tag = f"{{Key={names.SETUP_TAG},Value={value}}}"
    return f"--tag-specifications 'ResourceType={kind},Tags=[{tag}]'"


def _our(*values: str) -> list[dict[str, Any]]:
    return [names.where(f"tag:{names.SETUP_TAG}", *values)]

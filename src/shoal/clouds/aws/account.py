"""An AWS account examined, prepared and put back, for `shoal setup` and `shoal doctor`.

Prepared is, in each region, a network of its own: a VPC with a way out, a subnet in each zone, and
the security group whose members reach each other. All of it bears the tag `shoal`; only what bears
it is ever removed. In a network that the account names, only the group is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import boto3
import msgspec

from shoal.clouds.account import Finding, Step
from shoal.clouds.aws import identity, names, permissions
from shoal.clouds.aws.clients import Clients
from shoal.clouds.aws.errors import LOG_IN, QUOTA_PAGE
from shoal.clouds.aws.network import Network, ubuntu
from shoal.clouds.provider import LaunchError, Refused, Scope
from shoal.wire.accounts import AwsAccount
from shoal.wire.specs import Cloud

NETWORK_RANGE = "10.142.0.0/16"  # a /20 of it in each zone
LEAST_VCPU = 8.0  # for a first cluster
# Quotas of vCPU by what they count (Service Quotas, service "ec2"), and the families in each.
_QUOTAS = {
    "on-demand": "L-1216C47A",
    "spot": "L-34B43A08",
    "on-demand G and VT": "L-DB2E81BA",
    "spot G and VT": "L-3819A6DF",
    "on-demand P": "L-417A185B",
    "spot P": "L-7212CCBC",
}
_FAMILIES = dict.fromkeys((*"acdhimrtz", "im", "is"), "") | {
    "g": " G and VT",
    "vt": " G and VT",
    "p": " P",
}
# Service → the role that must be there before a fleet is asked for by its API
# (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-service-linked-roles.html; not tried).
_LINKED_ROLES = {
    "ec2fleet.amazonaws.com": "AWSServiceRoleForEC2Fleet",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
}
_GATEWAY, _VMS = "gateway", "vms"  # values of the tag, besides those in names
_ANYWHERE = "0.0.0.0/0"


class _Thing(msgspec.Struct, frozen=True):
    what: str
    command: str
    get: Callable[[], Any]  # falsy: it is not there
    make: Callable[[], object]


class AwsSetup:
    cloud = Cloud.AWS
    permissions = permissions.ALL

    def __init__(
        self,
        account: AwsAccount,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        session: boto3.Session | None = None,
    ) -> None:
        self.account = account
        self._clients = Clients(account, clock=clock, session=session)
        self._network = Network(account, self._clients)

    async def check(self, region: str) -> Sequence[Finding]:
        """Nothing else is looked at where the login fails."""
        what = f"login to account {self.account.account}"
        try:
            caller = await self._clients.call(self._clients.sts.get_caller_identity)
            regions = await self._regions()
        except LaunchError as error:
            return [Finding(what, problem=error.message, fix=getattr(error, "hint", "") or LOG_IN)]
        if caller["Account"] != self.account.account:
            problem = f"The login is of account {caller['Account']}."
            return [Finding(what, problem=problem, fix="export AWS_PROFILE=…")]
        if region not in regions:
            problem = "There is no such region, or the account has not enabled it."
            fix = f"aws account enable-region --region-name {region}"
            return [Finding(f"region {region}", problem=problem, fix=fix)]
        return [
            Finding(what, found="valid"),
            *await self._permissions(caller["Arn"]),
            *[await self._present(it) for it in await self._things(region)],
            *await self._named_identity(),
            *[await self._image(region, arch) for arch in ("x86_64", "aarch64")],
            *await self._quotas(region),
        ]

    async def plan(self, region: str) -> Sequence[Step]:
        return [
            Step(it.what, it.command, done=bool(await self._clients.call(it.get)))
            for it in await self._things(region)
        ]

    async def prepare(self, region: str) -> AwsAccount:
        for it in await self._things(region):
            if not await self._clients.call(it.get):
                await self._clients.call(it.make)
        return msgspec.structs.replace(
            self.account, instance_profile=self.account.instance_profile or identity.NAME
        )

    async def remove(self) -> Sequence[Step]:
        """In all enabled regions; what is used first, then what it uses."""
        regions = await self._regions()
        for region in regions:
            if users := await self._clients.call(partial(self._vms, region)):
                raise Refused(
                    f"{len(users)} VMs still run in {region}, {users[0]} among them.",
                    scope=Scope(),
                    hint="Stop the clusters first: shoal cluster list",
                )
        steps: list[Step] = []
        for region in regions:
            steps += await self._clients.call(partial(self._remove, region))
        steps += await self._clients.call(partial(identity.remove, self._clients.iam))
        return steps

    def role(self) -> str:
        return permissions.role(self.account)

    # what is prepared

    async def _things(self, region: str) -> Sequence[_Thing]:
        """In the order in which they are made."""
        roles = [self._linked_role(*it) for it in _LINKED_ROLES.items()] + self._identity()
        group = self._group(region)
        if self._own_vpc(region):
            return (*roles, group)
        zones = await self._clients.call(partial(self._zones, region))
        subnets = [self._subnet(region, zone) for zone in zones]
        way_out = self._gateway(region), self._route(region)
        return (*roles, self._vpc(region), *way_out, *subnets, group)

    def _linked_role(self, service: str, name: str) -> _Thing:
        """One of the account's own, which only that service can use; it stays."""
        iam = self._clients.iam

        def there() -> Sequence[Any]:
            path = f"/aws-service-role/{service}/"
            return list(iam.list_roles(PathPrefix=path)["Roles"])

        return _Thing(
            f"role {name} of the account, with which {service} works",
            f"aws iam create-service-linked-role --aws-service-name {service}",
            there,
            lambda: iam.create_service_linked_role(AWSServiceName=service),
        )

    def _identity(self) -> list[_Thing]:
        """The VMs' own, unless the account names another one."""
        if self.account.instance_profile not in ("", identity.NAME):
            return []
        there = partial(identity.is_there, self._clients.iam)
        make = partial(identity.make, self._clients.iam)
        return [_Thing(identity.WHAT, identity.COMMAND, there, make)]

    def _vpc(self, region: str) -> _Thing:
        ec2 = self._clients.ec2(region)

        def make() -> None:
            ec2.create_vpc(CidrBlock=NETWORK_RANGE, TagSpecifications=_tagged("vpc", names.NETWORK))

        return _Thing(
            f"network in {region}: {NETWORK_RANGE}, for clusters alone",
            f"aws ec2 create-vpc --region {region} --cidr-block {NETWORK_RANGE} "
            + _tag_option("vpc", names.NETWORK),
            partial(self._vpc_id, region),
            make,
        )

    def _gateway(self, region: str) -> _Thing:
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

        return _Thing(
            f"internet gateway in {region}: the way out, without a NAT to be paid",
            f"aws ec2 create-internet-gateway --region {region} "
            + _tag_option("internet-gateway", _GATEWAY)
            + "; aws ec2 attach-internet-gateway --internet-gateway-id IGW --vpc-id VPC",
            attached,
            make,
        )

    def _route(self, region: str) -> _Thing:
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

        return _Thing(
            f"route in {region}: everything else by that gateway",
            f"aws ec2 create-route --region {region} --route-table-id RTB "
            f"--destination-cidr-block {_ANYWHERE} --gateway-id IGW",
            there,
            make,
        )

    def _subnet(self, region: str, zone: str) -> _Thing:
        """Its range is its zone's, whichever zones there are besides."""
        ec2, cidr = self._clients.ec2(region), _range(zone)

        def there() -> Sequence[Any]:
            wanted = [_filter("availability-zone", zone), *_our(names.SUBNET)]
            return list(ec2.describe_subnets(Filters=wanted)["Subnets"])

        def make() -> None:
            ec2.create_subnet(
                VpcId=self._vpc_id(region),
                CidrBlock=cidr,
                AvailabilityZone=zone,
                TagSpecifications=_tagged("subnet", names.SUBNET),
            )

        return _Thing(
            f"subnet in {zone}: {cidr}",
            f"aws ec2 create-subnet --region {region} --vpc-id VPC --cidr-block {cidr} "
            f"--availability-zone {zone} " + _tag_option("subnet", names.SUBNET),
            there,
            make,
        )

    def _group(self, region: str) -> _Thing:
        ec2 = self._clients.ec2(region)

        def found() -> Sequence[Any]:
            vpc = self._vpc_id(region)
            wanted = [_filter("group-name", names.VM_GROUP), _filter("vpc-id", vpc)]
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

        return _Thing(
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

    # what is there

    async def _regions(self) -> Sequence[str]:
        told = await self._clients.call(self._clients.ec2(self.account.region).describe_regions)
        return sorted(str(it["RegionName"]) for it in told["Regions"])

    def _own_vpc(self, region: str) -> str:
        return self.account.vpc if region == self.account.region else ""

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
        wanted = [_filter("vpc-id", vpc), _filter("association.main", "true")]
        found = self._clients.ec2(region).describe_route_tables(Filters=wanted)["RouteTables"]
        return found[0] if found else None

    def _zones(self, region: str) -> Sequence[str]:
        """Not local zones, nor those at the edge of a carrier's network."""
        told = self._clients.ec2(region).describe_availability_zones(
            Filters=[_filter("state", "available")]
        )
        return sorted(
            str(it["ZoneName"])
            for it in told["AvailabilityZones"]
            if it.get("ZoneType", "availability-zone") == "availability-zone"
        )

    def _vms(self, region: str) -> Sequence[str]:
        states = ["pending", "running", "stopping", "stopped", "shutting-down"]
        pages = (
            self._clients.ec2(region)
            .get_paginator("describe_instances")
            .paginate(
                Filters=[
                    _filter("tag-key", names.INSTALLATION_TAG),
                    _filter("instance-state-name", *states),
                ]
            )
        )
        held = (it for page in pages for it in page["Reservations"])
        return [str(vm["InstanceId"]) for it in held for vm in it["Instances"]]

    # what is removed

    def _remove(self, region: str) -> Sequence[Step]:
        """Heads' groups too, which launches made."""
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

    # what is looked at

    async def _present(self, thing: _Thing) -> Finding:
        if await self._clients.call(thing.get):
            return Finding(thing.what, found="there")
        fix = f"shoal setup aws, or: {thing.command}"
        return Finding(thing.what, problem="It is not there yet.", fix=fix)

    async def _named_identity(self) -> Sequence[Finding]:
        named = self.account.instance_profile
        if named in ("", identity.NAME, identity.NONE):
            return []
        what = f"instance profile {named} of VMs"
        if await self._clients.call(partial(identity.is_there, self._clients.iam, named)):
            return [Finding(what, found="there")]
        fix = "Name one that exists: shoal setup aws --set instance_profile=NAME (none: without)"
        return [Finding(what, problem="It is not there, or has no role.", fix=fix)]

    async def _permissions(self, arn: str) -> Sequence[Finding]:
        """The login's own: it may be another than the server's."""
        wanted = [it.name for it in permissions.ALL]

        def simulate() -> dict[str, str]:
            told = self._clients.iam.simulate_principal_policy(
                PolicySourceArn=_principal(arn),
                ActionNames=wanted,
                ContextEntries=[_context(*it) for it in permissions.CONDITIONS.items()],
                MaxItems=1000,
            )
            decided = told["EvaluationResults"]
            return {it["EvalActionName"]: it["EvalDecision"] for it in decided}

        try:
            decisions = await self._clients.call(simulate)
        except LaunchError as error:
            problem = f"They could not be examined: {error.message}"
            fix = "Allow iam:SimulatePrincipalPolicy to whoever runs shoal doctor."
            return [Finding("permissions", problem=problem, fix=fix, essential=False)]
        return [_allowed(it.name, it.why, decisions.get(it.name, "")) for it in permissions.ALL]

    async def _image(self, region: str, arch: str) -> Finding:
        what = f"image of Ubuntu LTS for {arch} in {region}"
        try:
            found = await self._network.image(region, ubuntu(arch))
        except LaunchError as error:
            fix = "Name another one: shoal setup aws --set image=ami-…"
            return Finding(what, problem=error.message, fix=fix, essential=arch == "x86_64")
        return Finding(what, found=found.id)

    async def _quotas(self, region: str) -> Sequence[Finding]:
        used = await self._clients.call(partial(self._vcpus, region))
        return [await self._quota(region, kind, used[kind]) for kind in _QUOTAS]

    async def _quota(self, region: str, kind: str, used: int) -> Finding:
        what = f"quota of {kind} vCPU in {region}"
        quotas = self._clients.quotas(region)
        ask = partial(quotas.get_service_quota, ServiceCode="ec2", QuotaCode=_QUOTAS[kind])
        try:
            limit = float((await self._clients.call(ask))["Quota"]["Value"])
        except LaunchError as error:
            problem = f"It could not be asked: {error.message}"
            fix = "Allow servicequotas:GetServiceQuota to whoever runs shoal doctor."
            return Finding(what, problem=problem, fix=fix, essential=False)
        found = f"{used} of {limit:g} in use"
        if limit - used >= LEAST_VCPU:
            return Finding(what, found=found)
        if limit == 0:  # as each account begins
            problem = "No VM with a GPU of this kind may run."
            fix = f"If clusters need one, ask for vCPU at {QUOTA_PAGE}"
            return Finding(what, found, problem, fix, essential=False)
        problem = f"Only {max(limit - used, 0):g} are left."
        return Finding(what, found, problem, f"Raise it at {QUOTA_PAGE}", essential=False)

    def _vcpus(self, region: str) -> dict[str, int]:
        """In use, of everybody's VMs, by what they count against."""
        used = dict.fromkeys(_QUOTAS, 0)
        pages = self._clients.ec2(region).get_paginator("describe_instances")
        for page in pages.paginate(Filters=[_filter("instance-state-name", "pending", "running")]):
            for vm in (vm for it in page["Reservations"] for vm in it["Instances"]):
                cpu = vm.get("CpuOptions", {})
                if (kind := _counted(vm)) in used:
                    used[kind] += cpu.get("CoreCount", 0) * cpu.get("ThreadsPerCore", 1)
        return used


def _counted(vm: Any) -> str:
    """By which quota; of families that are no worker's (Trainium, F1) by none of these."""
    bought = "spot" if vm.get("InstanceLifecycle") == "spot" else "on-demand"
    family = re.match("[a-z]*", vm["InstanceType"])
    return bought + _FAMILIES.get(family[0] if family else "", " other")


def _principal(arn: str) -> str:
    """The role of a session of it: arn:aws:sts::1:assumed-role/NAME/SESSION."""
    if ":assumed-role/" not in arn:
        return arn
    place, _, rest = arn.partition(":assumed-role/")
    return f"{place.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}"


def _range(zone: str) -> str:
    """A /20 by the zone's letter, "a" to "p"."""
    return f"10.142.{16 * ((ord(zone[-1]) - ord('a')) % 16)}.0/20"


def _context(key: str, value: str) -> dict[str, Any]:
    return {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}


def _allowed(name: str, why: str, decision: str) -> Finding:
    if decision == "allowed":
        return Finding(f"permission {name}", found="granted")
    return Finding(
        f"permission {name}",
        problem=f"It is missing: {why}.",
        fix="shoal setup aws --print shows a policy with all of them",
    )


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
    return [_filter(f"tag:{names.SETUP_TAG}", *values)]


def _filter(name: str, *values: str) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}

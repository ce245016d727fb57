"""An AWS account examined, prepared and put back, for `shoal setup` and `shoal doctor`.

Prepared are, in each region, a network of its own (`groundwork`), and for the whole account the
VMs' identity and the roles that AWS wants. Only what setup made is ever removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import boto3
import msgspec

from shoal.clouds.account import Finding, Step
from shoal.clouds.aws import identity, names, permissions, quotas
from shoal.clouds.aws.clients import Clients
from shoal.clouds.aws.errors import LOG_IN
from shoal.clouds.aws.groundwork import Groundwork, Thing
from shoal.clouds.aws.network import Network, ubuntu
from shoal.clouds.provider import LaunchError, Refused, Scope
from shoal.core.proposal import Part
from shoal.wire.accounts import AwsAccount
from shoal.wire.specs import Cloud

# Service → the role that must be there before a fleet is asked for by its API
# (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-service-linked-roles.html; not tried).
_LINKED_ROLES = {
    "ec2fleet.amazonaws.com": "AWSServiceRoleForEC2Fleet",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
}


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
        self._ground = Groundwork(account, self._clients)

    async def check(self, region: str, asked: Sequence[Part] = ()) -> Sequence[Finding]:
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
            *await self._named_network(region),
            *await self._named_identity(),
            *[await self._image(region, arch) for arch in ("x86_64", "aarch64")],
            *await quotas.findings(self._clients, region, asked),
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
            steps += await self._clients.call(partial(self._ground.remove, region))
        steps += await self._clients.call(partial(identity.remove, self._clients.iam))
        return steps

    def role(self) -> str:
        return permissions.role(self.account)

    # what is prepared

    async def _things(self, region: str) -> Sequence[Thing]:
        """In the order in which they are made."""
        roles = [self._linked_role(*it) for it in _LINKED_ROLES.items()] + self._identity()
        ground = await self._clients.call(partial(self._ground.things, region))
        return (*roles, *ground)

    def _linked_role(self, service: str, name: str) -> Thing:
        """One of the account's own, which only that service can use; it stays."""
        iam = self._clients.iam

        def there() -> Sequence[Any]:
            path = f"/aws-service-role/{service}/"
            return list(iam.list_roles(PathPrefix=path)["Roles"])

        return Thing(
            f"role {name} of the account, with which {service} works",
            f"aws iam create-service-linked-role --aws-service-name {service}",
            there,
            lambda: iam.create_service_linked_role(AWSServiceName=service),
        )

    def _identity(self) -> list[Thing]:
        """The VMs' own, unless the account names another one."""
        if self.account.instance_profile not in ("", identity.NAME):
            return []
        there = partial(identity.is_there, self._clients.iam)
        make = partial(identity.make, self._clients.iam)
        return [Thing(identity.WHAT, identity.COMMAND, there, make)]

    # what is there

    async def _regions(self) -> Sequence[str]:
        told = await self._clients.call(self._clients.ec2(self.account.region).describe_regions)
        return sorted(str(it["RegionName"]) for it in told["Regions"])

    def _vms(self, region: str) -> Sequence[str]:
        states = ["pending", "running", "stopping", "stopped", "shutting-down"]
        pages = (
            self._clients.ec2(region)
            .get_paginator("describe_instances")
            .paginate(
                Filters=[
                    names.where("tag-key", names.INSTALLATION_TAG),
                    names.where("instance-state-name", *states),
                ]
            )
        )
        held = (it for page in pages for it in page["Reservations"])
        return [str(vm["InstanceId"]) for it in held for vm in it["Instances"]]

    # what is looked at

    async def _present(self, thing: Thing) -> Finding:
        if await self._clients.call(thing.get):
            return Finding(thing.what, found="there")
        fix = f"shoal setup aws, or: {thing.command}"
        return Finding(thing.what, problem="It is not there yet.", fix=fix)

    async def _named_network(self, region: str) -> Sequence[Finding]:
        """The subnets that VMs go to, one a zone."""
        vpc = names.own_vpc(self.account, region)
        if not vpc:
            return []
        what = f"subnets of {vpc} in {region}"
        try:
            place = await self._network.place(region)
        except Refused as error:
            return [Finding(what, problem=error.message, fix=error.hint)]
        return [Finding(what, found=", ".join(sorted(place.subnets)))]

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


def _principal(arn: str) -> str:
    """The role of a session of it: arn:aws:sts::1:assumed-role/NAME/SESSION."""
    if ":assumed-role/" not in arn:
        return arn
    place, _, rest = arn.partition(":assumed-role/")
    return f"{place.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}"


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

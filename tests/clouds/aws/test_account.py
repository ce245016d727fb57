"""An account is examined, prepared and put back, against the double."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from moto.ec2.models import ec2_backends

from shoal.clouds.account import Finding
from shoal.clouds.aws.account import AwsSetup
from shoal.clouds.aws.clients import Clients
from shoal.clouds.aws.network import Network, Place
from shoal.clouds.provider import Refused
from shoal.core.proposal import Part
from shoal.core.records import Offer
from shoal.wire.specs import Cloud, Role
from tests.clouds.aws.test_cloud import Rig, batch
from tests.doubles.aws.front import ACCOUNT
from tests.doubles.aws.knobs import Knobs
from tests.doubles.aws.server import AwsDouble

pytestmark = pytest.mark.long

REGION = "us-east-1"


@pytest.fixture
def double() -> Iterator[AwsDouble]:
    with AwsDouble(Knobs(regions=(REGION,)), prepared=False) as made:
        yield made


def setup(double: AwsDouble, **more: str) -> AwsSetup:
    account = msgspec.structs.replace(double.account, **more)
    return AwsSetup(account, session=double.session)


def problems(double: AwsDouble, region: str = REGION) -> list[Finding]:
    return [it for it in asyncio.run(setup(double).check(region)) if it.problem]


def ours(double: AwsDouble) -> list[str]:
    """Networks and groups, but the account's default ones."""
    held = ec2_backends[ACCOUNT][REGION]
    vpcs = [it.id for it in held.vpcs.values() if it.is_default != "true"]
    groups = [it.name for them in held.groups.values() for it in them.values()]
    return [*vpcs, *held.internet_gateways, *(it for it in groups if it != "default")]


def test_what_is_prepared_is_planned_made_once_found_and_put_back(double: AwsDouble) -> None:
    steps = asyncio.run(setup(double).plan(REGION))
    assert not any(it.done for it in steps)
    assert all(it.command.startswith(("aws ec2 ", "aws iam create-")) for it in steps)
    before = ours(double)
    for _ in range(2):
        asyncio.run(setup(double).prepare(REGION))
    made = ours(double)
    assert len(made) == len(before) + 3
    assert all(it.done for it in asyncio.run(setup(double).plan(REGION)))
    assert problems(double) == []
    removed = asyncio.run(setup(double).remove())
    assert {it.what.split()[0] for it in removed} == {
        "security-group",
        "subnet",
        "internet-gateway",
        "vpc",
        "instance-profile",
        "role",
    }
    assert ours(double) == before


def test_a_prepare_that_was_killed_is_completed_by_the_next(double: AwsDouble) -> None:
    async def some(count: int) -> None:
        made = setup(double)
        for it in (await made._things(REGION))[:count]:
            it.get() or it.make()

    steps = len(asyncio.run(setup(double).plan(REGION)))
    for count in range(0, steps, 3):
        asyncio.run(some(count))
        asyncio.run(setup(double).prepare(REGION))
        assert all(it.done for it in asyncio.run(setup(double).plan(REGION)))
        asyncio.run(setup(double).remove())


def test_a_subnets_range_is_its_zones_whichever_others_there_are(double: AwsDouble) -> None:
    steps = [it.what for it in asyncio.run(setup(double).plan(REGION))]
    assert "subnet in us-east-1a: 10.142.0.0/20" in steps
    assert "subnet in us-east-1f: 10.142.80.0/20" in steps


def test_a_cluster_runs_in_what_was_prepared(double: AwsDouble) -> None:
    asyncio.run(setup(double).prepare(REGION))
    rig = Rig(double)
    made = rig.launch(batch(2))
    assert len(made.vms) == 2
    with pytest.raises(Refused, match="2 VMs still run in us-east-1"):
        asyncio.run(setup(double).remove())
    rig.end(*rig.list())
    asyncio.run(setup(double).remove())
    assert double.left() == []


def test_a_network_that_somebody_else_made_is_used_and_stays(double: AwsDouble) -> None:
    ec2 = double.session.client("ec2", region_name=REGION, endpoint_url=double.account.endpoint)
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.0.0/20", AvailabilityZone="us-east-1a")
    *_, step = asyncio.run(setup(double, vpc=vpc).plan(REGION))
    assert "security group shoal-vm" in step.what
    asyncio.run(setup(double, vpc=vpc).prepare(REGION))
    asyncio.run(setup(double, vpc=vpc).remove())
    assert vpc in ours(double)
    assert "shoal-vm" not in ours(double)


def networks(double: AwsDouble) -> dict[str, str]:
    """By region, networks of somebody else, each with two subnets in zone a and one in b."""
    made = {}
    for region in double.knobs.regions:
        ec2 = double.session.client("ec2", region_name=region, endpoint_url=double.account.endpoint)
        vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
        for number, letter in enumerate("aab"):
            cidr, zone = f"10.7.{16 * number}.0/20", f"{region}{letter}"
            ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)
        made[region] = vpc
    return made


def subnets(double: AwsDouble, region: str, vpc: str) -> list[str]:
    held = ec2_backends[ACCOUNT][region].subnets.values()
    every = [it for zone in held for it in zone.values() if it.vpc_id == vpc]
    return [it.id for it in sorted(every, key=lambda it: str(it.cidr_block))]


def place(double: AwsDouble, region: str, **changes: object) -> Place:
    account = msgspec.structs.replace(double.account, **changes)
    clients = Clients(account, clock=lambda: datetime.now(UTC), session=double.session)
    return asyncio.run(Network(account, clients).place(region))


def test_each_region_has_a_network_of_its_own_and_the_subnets_that_were_chosen() -> None:
    with AwsDouble(Knobs(), prepared=False) as double:
        theirs = networks(double)
        named = ",".join(f"{region}={vpc}" for region, vpc in theirs.items())
        for region in theirs:
            asyncio.run(setup(double, vpc=named).prepare(region))
        chosen = {region: subnets(double, region, vpc)[1] for region, vpc in theirs.items()}
        assert len(chosen) == 2
        for region, vpc in theirs.items():
            found = place(double, region, vpc=named, subnets=",".join(chosen.values()))
            assert (found.vpc, found.subnets) == (vpc, {f"{region}a": chosen[region]})
            assert set(place(double, region, vpc=named).subnets) == {f"{region}a", f"{region}b"}


def test_a_network_of_another_region_is_told_with_how_to_name_one_of_each(
    double: AwsDouble,
) -> None:
    [own] = networks(double).values()
    elsewhere = setup(double, vpc=f"{REGION}=vpc-elsewhere")
    checked = asyncio.run(elsewhere.check(REGION))
    [problem] = [it for it in checked if it.what.startswith("subnets of")]
    assert problem.problem == (
        f"The network vpc-elsewhere, which the account names, has no subnet in {REGION}."
    )
    assert f"--set vpc={REGION}=vpc-" in problem.fix
    with pytest.raises(Refused, match="none of the subnets that the account names"):
        place(double, REGION, vpc=own, subnets="subnet-elsewhere")


def test_a_missing_permission_is_named_with_its_reason_and_fix(double: AwsDouble) -> None:
    asyncio.run(setup(double).prepare(REGION))
    double.knobs.not_granted = frozenset({"ec2:TerminateInstances"})
    [missing] = problems(double)
    assert missing.what == "permission ec2:TerminateInstances"
    assert "end VMs" in missing.problem
    assert "--print" in missing.fix


def test_the_policy_allows_exactly_the_permissions_and_ends_only_what_is_ours() -> None:
    with AwsDouble(Knobs(regions=(REGION,)), prepared=False) as double:
        bare = setup(double, instance_profile="none").role()
        statements = json.loads(bare)["Statement"]
        passing = json.loads(setup(double).role())["Statement"]
    allowed = [action for it in statements for action in it["Action"]]
    assert sorted(allowed) == sorted(it.name for it in AwsSetup.permissions)
    [tagging] = [it for it in statements if it["Action"] == ["ec2:CreateTags"]]
    assert "CreateFleet" in tagging["Condition"]["StringEquals"]["ec2:CreateAction"]
    [ending] = [it for it in statements if "ec2:TerminateInstances" in it["Action"]]
    assert "aws:ResourceTag/shoal-installation" in json.dumps(ending["Condition"])
    assert passing[-1]["Action"] == ["iam:PassRole"]
    assert passing[-1]["Resource"].endswith(":role/shoal-vm")


def test_the_how_to_tells_every_permission_with_its_reason() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "aws.md").read_text(encoding="utf-8")
    for it in AwsSetup.permissions:
        assert f"| `{it.name}` | {it.why} |" in page


def test_a_quota_is_asked_against_its_limit(double: AwsDouble) -> None:
    asyncio.run(setup(double).prepare(REGION))
    double.knobs.vcpu_limit = 5
    low = problems(double)
    kinds = ("", " G and VT", " P")
    assert sorted(it.what for it in low) == sorted(
        f"quota of {bought}{kind} vCPU in us-east-1"
        for kind in kinds
        for bought in ("on-demand", "spot")
    )
    assert low[0].found == "0 of 5 in use"
    assert not low[0].essential


def test_a_quota_is_held_against_the_cluster_that_somebody_asks_about(double: AwsDouble) -> None:
    asyncio.run(setup(double).prepare(REGION))

    def part(role: Role, count: int, type_: str, vcpu: int, *, spot: bool) -> Part:
        offer = Offer(Cloud.AWS, REGION, f"{REGION}a", type_, spot, "x86_64", vcpu, 16 << 30)
        return Part(role, count, count, (offer,), 40)

    asked = (
        part(Role.SCHEDULER, 1, "m7i.xlarge", 4, spot=False),
        part(Role.WORKER, 10, "g6.2xlarge", 8, spot=True),
    )
    checked = asyncio.run(setup(double).check(REGION, asked))
    [low] = [it for it in checked if it.problem]
    assert low.what == "quota of spot G and VT vCPU in us-east-1"
    assert low.problem == "Only 64 are left; the cluster takes 80."
    assert low.fix.startswith("Raise it to 80 or more at http")
    assert low.essential
    found = {it.what: it.found for it in checked}
    assert "room for the 4 of the cluster" in found["quota of on-demand vCPU in us-east-1"]
    assert found["quota of on-demand P vCPU in us-east-1"] == "0 of 64 in use"


def test_another_login_and_no_region_are_said_first(double: AwsDouble) -> None:
    [wrong] = problems(double, "us-nowhere-1")
    assert wrong.what == "region us-nowhere-1"
    checked = asyncio.run(setup(double, account="999999999999").check(REGION))
    assert [it.problem for it in checked] == [f"The login is of account {ACCOUNT}."]


def test_vms_get_an_identity_that_may_do_nothing_and_it_goes_with_what_was_attached(
    double: AwsDouble,
) -> None:
    iam = double.session.client("iam", "us-east-1", endpoint_url=double.account.endpoint)
    ready = asyncio.run(setup(double).prepare(REGION))
    assert ready.instance_profile == "shoal-vm"
    assert iam.list_attached_role_policies(RoleName="shoal-vm")["AttachedPolicies"] == []
    reads = iam.create_policy(PolicyName="reads", PolicyDocument=setup(double).role())["Policy"]
    iam.attach_role_policy(RoleName="shoal-vm", PolicyArn=reads["Arn"])
    gone = asyncio.run(setup(double).remove())
    assert {"role shoal-vm", "instance-profile shoal-vm"} <= {it.what for it in gone}
    assert "shoal-vm" not in {it["RoleName"] for it in iam.list_roles()["Roles"]}
    assert iam.get_policy(PolicyArn=reads["Arn"])["Policy"]["AttachmentCount"] == 0


def test_an_identity_that_somebody_else_made_stays(double: AwsDouble) -> None:
    iam = double.session.client("iam", "us-east-1", endpoint_url=double.account.endpoint)
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    iam.create_role(RoleName="shoal-vm", AssumeRolePolicyDocument=trust)
    asyncio.run(setup(double).remove())
    assert "shoal-vm" in {it["RoleName"] for it in iam.list_roles()["Roles"]}


def test_another_identity_is_looked_for_and_none_is_fine(double: AwsDouble) -> None:
    asyncio.run(setup(double).prepare(REGION))

    def named(name: str) -> list[Finding]:
        return list(asyncio.run(setup(double, instance_profile=name).check(REGION)))

    [missing] = [it for it in named("workers") if it.problem]
    assert missing.what == "instance profile workers of VMs"
    assert not [it for it in named("none") if it.problem]

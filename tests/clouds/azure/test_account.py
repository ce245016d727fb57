"""A subscription examined, prepared and put back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from azure.core.exceptions import ClientAuthenticationError

from shoal.clouds.account import Finding
from shoal.clouds.azure import identity, names, permissions
from shoal.clouds.azure.account import AzureSetup
from shoal.clouds.provider import Refused
from shoal.core.proposal import Part
from shoal.errors import InvalidRequest
from shoal.wire.specs import Role
from tests.clouds.azure.rig import Rig, batch, offer
from tests.doubles.azure.arm import NETWORK, SUBSCRIPTION, Arm
from tests.doubles.azure.arm import Path as ArmPath
from tests.doubles.azure.server import AzureDouble


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Rig]:
    """A subscription in which nothing is prepared."""
    with AzureDouble(Arm(), tmp_path) as azure:
        yield Rig(azure)


def account(rig: Rig) -> AzureSetup:
    return AzureSetup(rig.account, trust=rig.azure.trust)


def problems(rig: Rig) -> Sequence[Finding]:
    return [it for it in asyncio.run(account(rig).check("eastus")) if it.problem]


def test_what_is_prepared_is_enough_to_launch_in(bare: Rig) -> None:
    asyncio.run(account(bare).prepare("eastus"))
    assert len(bare.launch(batch(1)).vms) == 1
    assert len(bare.listed()) == 1


def test_preparing_twice_changes_nothing(bare: Rig) -> None:
    asyncio.run(account(bare).prepare("eastus"))
    before = dict(bare.arm.resources)
    asyncio.run(account(bare).prepare("eastus"))
    assert bare.arm.resources == before
    assert bare.calls("PUT virtualNetworks") == 1


def test_the_plan_tells_what_is_still_to_be_done(bare: Rig) -> None:
    plan = asyncio.run(account(bare).plan("eastus"))
    assert [it.done for it in plan] == [False, False, False, False]
    assert all(it.command.startswith("az ") for it in plan)
    asyncio.run(account(bare).prepare("eastus"))
    assert all(it.done for it in asyncio.run(account(bare).plan("eastus")))


def test_preparing_where_a_step_failed_goes_on_from_there(bare: Rig) -> None:
    bare.arm.knobs.lost.append("PUT virtualNetworks")
    with pytest.raises(Exception, match="did not answer"):
        asyncio.run(account(bare).prepare("eastus"))
    asyncio.run(account(bare).prepare("eastus"))
    assert all(it.done for it in asyncio.run(account(bare).plan("eastus")))


def test_removing_leaves_nothing_in_any_region(bare: Rig) -> None:
    for region in ("eastus", "westeurope"):
        asyncio.run(account(bare).prepare(region))
    removed = asyncio.run(account(bare).remove())
    assert len(removed) == 6
    assert bare.arm.resources == {}
    assert bare.arm.groups == {}
    assert asyncio.run(account(bare).remove()) == []


def test_removing_takes_the_security_groups_of_heads_along(bare: Rig) -> None:
    asyncio.run(account(bare).prepare("eastus"))
    head = batch(1, role=Role.SCHEDULER, ingress=("192.0.2.1/32",))
    bare.terminate(list(bare.launch(head).vms))
    asyncio.run(account(bare).remove())
    assert bare.arm.resources == {}


def test_nothing_is_removed_while_a_vm_uses_it(bare: Rig) -> None:
    asyncio.run(account(bare).prepare("eastus"))
    bare.launch(batch(1))
    before = set(bare.arm.resources)
    with pytest.raises(Refused, match="1 VMs still use"):
        asyncio.run(account(bare).remove())
    assert set(bare.arm.resources) == before


def test_what_somebody_else_made_stays(bare: Rig) -> None:
    bare.arm.groups["shoal"] = {"name": "shoal", "location": "eastus", "tags": {}}
    asyncio.run(account(bare).prepare("eastus"))
    asyncio.run(account(bare).remove())
    assert list(bare.arm.groups) == ["shoal"]


def test_a_network_of_somebody_else_is_used_and_not_made(bare: Rig) -> None:
    theirs = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/x/y/virtualNetworks/corp"
    bare.account = msgspec.structs.replace(bare.account, network=theirs)
    plan = asyncio.run(account(bare).plan("eastus"))
    assert not [it for it in plan if "virtual network" in it.what]


def corp(rig: Rig, region: str, subnet: str) -> str:
    """A network of somebody else."""
    body = {
        "location": region,
        "properties": {"subnets": [{"name": subnet, "properties": {}}]},
    }
    rig.arm.groups.setdefault("net", {})
    rig.arm.put(ArmPath("net", NETWORK, f"corp-{region}"), body)
    place = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/providers"
    return f"{place}/Microsoft.Network/virtualNetworks/corp-{region}"


def test_each_region_has_a_network_and_a_subnet_of_its_own(bare: Rig) -> None:
    east, west = corp(bare, "eastus", "workers"), corp(bare, "westeurope", "dask")
    bare.account = msgspec.structs.replace(
        bare.account,
        network=f"eastus={east},westeurope={west}",
        subnet="eastus=workers,westeurope=dask",
    )
    assert names.subnet_id(bare.account, "eastus") == f"{east}/subnets/workers"
    assert names.subnet_id(bare.account, "westeurope") == f"{west}/subnets/dask"
    assert names.subnet_id(bare.account, "westus").endswith("/shoal-westus/subnets/shoal")
    for region in ("eastus", "westeurope"):
        checked = {it.what: it for it in asyncio.run(account(bare).check(region))}
        assert not checked[f"network corp-{region} in {region}"].problem
    plan = asyncio.run(account(bare).plan("westus"))
    assert [it for it in plan if "virtual network shoal-westus" in it.what]


def test_one_network_is_of_the_accounts_own_region(bare: Rig) -> None:
    theirs = corp(bare, "eastus", "workers")
    bare.account = msgspec.structs.replace(bare.account, network=theirs, subnet="workers")
    assert names.network_id(bare.account, "eastus") == theirs
    assert names.network_id(bare.account, "westeurope").endswith("/shoal-westeurope")


@pytest.mark.parametrize(
    ("network", "subnet", "problem", "fix"),
    [
        ("westeurope", "dask", "It is in westeurope: VMs in eastus cannot be in it.", "eastus=ID"),
        ("eastus", "other", "It has no subnet 'other', but dask.", "--set subnet=eastus=NAME"),
        ("westus", "dask", "There is no /subscriptions/", "eastus=ID"),
    ],
)
def test_a_network_that_vms_cannot_be_in_is_told_before_a_launch(
    bare: Rig, network: str, subnet: str, problem: str, fix: str
) -> None:
    known = {it: corp(bare, it, "dask") for it in ("eastus", "westeurope")}
    named = known.get(network) or known["eastus"].replace("corp-eastus", "corp-westus")
    bare.account = msgspec.structs.replace(bare.account, network=named, subnet=subnet)
    [found] = [it for it in problems(bare) if it.what.startswith("network corp")]
    assert found.problem.startswith(problem)
    assert fix in found.fix


def test_a_network_of_a_region_is_named_by_its_id(bare: Rig) -> None:
    bare.account = msgspec.structs.replace(bare.account, network="eastus=corp")
    for region in ("eastus", "westeurope"):
        with pytest.raises(InvalidRequest, match="'corp' is no resource id"):
            asyncio.run(account(bare).plan(region))


def test_a_prepared_subscription_is_in_order(rig: Rig) -> None:
    assert problems(rig) == []
    rig.launch(batch(1))
    quotas = {
        it.what: it.found
        for it in asyncio.run(account(rig).check("eastus"))
        if it.what.startswith("quota")
    }
    assert quotas["quota: public addresses in eastus"] == "1 of 20 in use"


def test_a_quota_is_held_against_the_cluster_that_somebody_asks_about(rig: Rig) -> None:
    rig.arm.knobs.cores = {"standardDSv5Family": 30}
    best = msgspec.structs.replace(offer(), family="Ds_v5")
    spot = msgspec.structs.replace(best, spot=True)
    asked = (
        Part(Role.SCHEDULER, 1, 1, (best,), 30),
        Part(Role.WORKER, 7, 7, (best,), 30),
        Part(Role.WORKER, 30, 30, (spot,), 30),
    )
    checked = asyncio.run(account(rig).check("eastus", asked))
    found = {it.what: it for it in checked if it.what.startswith("quota")}
    assert {it.what: it.problem for it in found.values() if it.problem} == {
        "quota: vCPU of standardDSv5Family in eastus": "Only 30 are left; the cluster takes 32.",
        "quota: vCPU, spot in eastus": "Only 100 are left; the cluster takes 120.",
        "quota: public addresses in eastus": "Only 20 are left; the cluster takes 38.",
    }
    assert all(it.essential and it.fix for it in found.values() if it.problem)
    assert "room for the 32" in found["quota: vCPU, on-demand in eastus"].found


def test_what_is_missing_is_named_with_its_fix(bare: Rig) -> None:
    bare.arm.knobs.denied = frozenset({"Microsoft.Compute/virtualMachines/*"})
    bare.arm.knobs.unregistered = frozenset({"Microsoft.Compute"})
    found = {it.what: it.fix for it in problems(bare)}
    assert found["resource provider Microsoft.Compute"].startswith("az provider register")
    assert "permission Microsoft.Compute/virtualMachines/delete" in found
    assert "permission Microsoft.Compute/virtualMachines/read" in found
    assert "permission Microsoft.Compute/disks/read" not in found
    assert len([it for it in found if it.startswith(("resource group", "virtual network"))]) == 2
    assert all(found.values())


def test_without_a_login_nothing_else_is_looked_at(rig: Rig) -> None:
    rig.account = msgspec.structs.replace(rig.account, subscription="another")
    (only,) = asyncio.run(account(rig).check("eastus"))
    assert only.problem
    assert only.fix


def test_the_role_lists_every_permission_and_is_of_the_vendors_form(rig: Rig) -> None:
    role = msgspec.json.decode(account(rig).role())
    assert set(role["Actions"]) == {it.name for it in AzureSetup.permissions}
    assert role["AssignableScopes"] == [f"/subscriptions/{SUBSCRIPTION}"]
    assert role["IsCustom"] is True


@pytest.mark.parametrize(
    ("actions", "not_actions", "allowed"),
    [
        ("*", "", True),
        ("*/read", "", False),
        ("Microsoft.Compute/*", "", True),
        ("microsoft.compute/virtualmachines/WRITE", "", True),
        ("Microsoft.Compute/*/write", "", True),
        ("Microsoft.Compute/*", "Microsoft.Compute/virtualMachines/*", False),
        ("Microsoft.Compute/virtualMachines/write/x", "", False),
    ],
)
def test_a_grant_is_read_as_azure_reads_it(actions: str, not_actions: str, allowed: bool) -> None:
    grant = permissions.Grant((actions,), (not_actions,) if not_actions else ())
    assert grant.allows("Microsoft.Compute/virtualMachines/write") is allowed


def test_the_page_names_every_permission_with_its_reason() -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/azure.md").read_text()
    for it in AzureSetup.permissions:
        assert f"| `{it.name}` | {it.why} |" in page


def test_without_a_login_the_next_step_is_one_line(rig: Rig) -> None:
    class Nobody:
        def get_token(self, *scopes: str, **_: object) -> None:
            raise ClientAuthenticationError(message="DefaultAzureCredential failed: a\nlong\nlist")

    trust = msgspec.structs.replace(rig.azure.trust, credential=Nobody())
    (only,) = asyncio.run(AzureSetup(rig.account, trust=trust).check("eastus"))
    assert only.problem == "There is no valid login to Azure here."
    assert "az login" in only.fix


def test_vms_get_an_identity_that_may_do_nothing(bare: Rig) -> None:
    bare.account = asyncio.run(account(bare).prepare("eastus"))
    assert bare.account.identity.endswith("/userAssignedIdentities/shoal-vm")
    asked = batch(1)
    bare.launch(asked)
    held = bare.vm(asked.instances[0])["identity"]["userAssignedIdentities"]
    assert list(held) == [bare.account.identity]


def test_another_identity_is_looked_for_and_none_is_fine(bare: Rig) -> None:
    asyncio.run(account(bare).prepare("eastus"))
    theirs = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shoal/providers/{identity.KIND}/theirs"
    bare.account = msgspec.structs.replace(bare.account, identity=theirs)
    [missing] = problems(bare)
    assert missing.what == "identity theirs of VMs"
    bare.account = msgspec.structs.replace(bare.account, identity="none")
    assert problems(bare) == []
    asked = batch(1)
    bare.launch(asked)
    assert "identity" not in bare.vm(asked.instances[0])

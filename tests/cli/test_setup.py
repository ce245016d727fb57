"""`shoal setup` and `shoal doctor CLOUD`, over an account that is kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from shoal.cli import findings, setup
from shoal.cli.findings import Grade
from shoal.cli.setup import Wishes
from shoal.clouds.account import Finding, Permission, Step
from shoal.errors import CloudError, InvalidRequest
from shoal.wire.accounts import CloudAccount, GcpAccount, cloud_of
from shoal.wire.specs import Cloud

OURS = GcpAccount("our-project", "us-east1")
YES = Wishes("us-east1", yes=True)


class Project:
    """An account of a cloud in memory: two things to be made, and VMs that may use them."""

    cloud = Cloud.GCP
    permissions = (Permission("compute.instances.create", "a VM for each worker"),)

    def __init__(self, account: CloudAccount = OURS) -> None:
        self.account = account
        self.made: set[str] = set()
        self.used = False

    async def check(self, region: str) -> Sequence[Finding]:
        return [Finding("network", problem="" if self.made else "there is no network")]

    async def plan(self, region: str) -> Sequence[Step]:
        return [
            Step(what, f"gcloud create {what}", done=what in self.made)
            for what in ("network", "firewall")
        ]

    async def prepare(self, region: str) -> CloudAccount:
        self.made = {"network", "firewall"}
        return msgspec.structs.replace(self.account, service_account="vm@our-project")

    async def remove(self) -> Sequence[Step]:
        if self.used:
            raise CloudError("VMs use the network.")
        gone, self.made = sorted(self.made), set()
        return [Step(what, f"gcloud delete {what}", done=True) for what in gone]

    def role(self) -> str:
        return "includedPermissions: [compute.instances.create]"


class Register:
    def __init__(self) -> None:
        self.accounts: dict[Cloud, CloudAccount] = {}

    def known(self, cloud: Cloud) -> CloudAccount | None:
        return self.accounts.get(cloud)

    def put(self, account: CloudAccount) -> None:
        self.accounts[cloud_of(account)] = account

    def forget(self, cloud: Cloud) -> None:
        self.accounts.pop(cloud, None)


def test_setup_shows_what_it_makes_makes_it_and_registers_what_is_there_now(
    capsys: pytest.CaptureFixture[str],
) -> None:
    project, register = Project(), Register()
    setup.prepare(project, register, YES)
    told = capsys.readouterr().out
    assert "to be made  network" in told
    assert "compute.instances.create" in told
    assert project.made == {"network", "firewall"}
    assert register.accounts[Cloud.GCP] == GcpAccount(
        "our-project", "us-east1", service_account="vm@our-project"
    )


def test_setup_again_makes_nothing_and_asks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    project, register = Project(), Register()
    setup.prepare(project, register, YES)
    before = set(project.made)
    setup.prepare(project, register, Wishes("us-east1"))
    assert project.made == before
    assert "to be made" not in capsys.readouterr().out.rpartition("what")[2]


def test_nothing_is_made_where_nobody_can_be_asked() -> None:
    project, register = Project(), Register()
    with pytest.raises(InvalidRequest, match="Nobody"):
        setup.prepare(project, register, Wishes("us-east1"))
    assert not project.made
    assert not register.accounts


def test_print_gives_commands_and_the_role_and_makes_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = Project()
    asyncio.run(setup.print_plan(project, YES))
    told = capsys.readouterr().out
    assert "gcloud create network\n" in told
    assert "includedPermissions" in told
    assert not project.made


def test_remove_takes_away_what_was_made_and_the_server_forgets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    project, register = Project(), Register()
    setup.prepare(project, register, YES)
    setup.remove(project, register, YES)
    assert not project.made
    assert not register.accounts
    assert "removed  network" in capsys.readouterr().out


def test_an_account_that_vms_use_stays_registered(capsys: pytest.CaptureFixture[str]) -> None:
    project, register = Project(), Register()
    setup.prepare(project, register, YES)
    project.used = True
    with pytest.raises(CloudError, match="VMs use"):
        setup.remove(project, register, YES)
    assert register.accounts


def test_json_is_the_account_its_steps_and_permissions(capsys: pytest.CaptureFixture[str]) -> None:
    setup.prepare(Project(), Register(), Wishes("us-east1", yes=True, as_json=True))
    told = msgspec.json.decode(capsys.readouterr().out, type=setup.Told)
    assert told.registered
    assert [it.what for it in told.steps] == ["network", "firewall"]


def test_fields_are_set_by_their_names_and_kinds() -> None:
    made = setup.changed(OURS, "us-west1", ("network=corp", "public_workers=false"))
    assert made == GcpAccount("our-project", "us-west1", network="corp", public_workers=False)


@pytest.mark.parametrize("field", ["netwrok=corp", "network", "public_workers=perhaps"])
def test_a_field_that_cannot_be_set_is_refused_with_what_can(field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        setup.changed(OURS, None, (field,))
    assert "--set" in refused.value.message


@pytest.mark.parametrize(
    ("seen", "grade"),
    [
        (Finding("quota", found="24 of 72 vCPU"), Grade.GOOD),
        (Finding("quota", problem="no GPU", essential=False), Grade.NOTE),
        (Finding("login", problem="expired", fix="gcloud auth login"), Grade.BAD),
    ],
)
def test_an_essential_problem_alone_is_bad(seen: Finding, grade: Grade) -> None:
    it = findings.of_cloud(seen)
    assert it.grade is grade
    assert it.fix == seen.fix
    assert findings.any_bad([it]) is (grade is Grade.BAD)

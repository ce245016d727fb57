"""Onto a cluster's VM: which one, and by which command."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from fake_server import NOW

from shoal.client import remote
from shoal.errors import NotFound
from shoal.wire.accounts import AwsAccount, AzureAccount, CloudAccount, GcpAccount
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState, InstanceView, Stage


def vm(number: int, role: Role = Role.WORKER, **changes: object) -> InstanceView:
    made = InstanceView(
        InstanceId(f"shoal-c-a-{number}"),
        role,
        InstanceState.LAUNCHED,
        Stage.READY,
        NOW,
        "accepted",
    )
    return msgspec.structs.replace(made, **changes)


HEAD, TWO, THREE = vm(1, Role.SCHEDULER), vm(2, state=InstanceState.GONE), vm(3, vm="i-0abc")


@pytest.mark.parametrize(
    ("named", "found"),
    [(None, HEAD), ("shoal-c-a-3", THREE), ("3", THREE), ("worker", THREE), ("i-0abc", THREE)],
)
def test_a_vm_is_named_by_id_number_or_role(named: str | None, found: InstanceView) -> None:
    assert remote.chosen([HEAD, TWO, THREE], named, "mine") is found


def test_one_that_is_gone_is_not_there_and_the_others_are_named() -> None:
    with pytest.raises(NotFound, match="no VM '2'") as caught:
        remote.chosen([HEAD, TWO, THREE], "2", "mine")
    assert "shoal-c-a-3 (worker)" in caught.value.hint


def test_plain_ssh_goes_to_the_address_that_the_server_dials() -> None:
    dialled = vm(1, address="203.0.113.9:8788")
    assert remote.ssh_line(dialled, None, ()) == ["ssh", "203.0.113.9"]
    assert remote.ssh_line(dialled, "ada", ("ls", "a b")) == ["ssh", "ada@203.0.113.9", "ls 'a b'"]


GCLOUD = (
    "gcloud compute ssh shoal-c-a-3 --project my-project --zone z1 --tunnel-through-iap "
    "--command 'ls -l'"
)
AWS = (
    "aws ssm start-session --target i-0abc --region us-west-2 --profile team "
    """--document-name AWS-StartNonInteractiveCommand --parameters '{"command":["ls -l"]}'"""
)
AZ = "az ssh vm --subscription sub-1 --resource-group rg --name shoal-c-a-3 -- 'ls -l'"


@pytest.mark.parametrize(
    ("account", "line"),
    [
        (GcpAccount("my-project", "us-east1"), GCLOUD),
        (AwsAccount("123456789012", "us-east-1", profile="team"), AWS),
        (AzureAccount("sub-1", "westeurope", resource_group="rg"), AZ),
    ],
)
def test_where_no_port_is_open_the_vendors_command_is_told(
    account: CloudAccount, line: str
) -> None:
    it = msgspec.structs.replace(THREE, zone="z1", address="10.0.0.3:8788")
    error = remote.closed(it, account, remote.vendor_line(it, account, "us-west-2", ("ls", "-l")))
    assert line in error.hint
    assert "10.0.0.3, port 22" in error.message
    assert remote.needs(account) in error.hint


def test_on_this_machine_it_is_the_vms_directory_and_environment(tmp_path: Path) -> None:
    directory = tmp_path / HEAD.id
    for number, name in enumerate(("env-old", "env-new")):
        (directory / "prefixes" / name).mkdir(parents=True)
        os.utime(directory / "prefixes" / name, (number, number))
    (directory / "vm.json").write_text('{"name": "shoal-c-a-1", "pid": 0, "vcpu": 1}')
    own = {"TERM": "xterm", "PATH": "/bin", "SECRET": "x"}
    place = remote.local_place(tmp_path, HEAD, {"REGION": "north"}, own)
    assert place.directory == directory
    assert place.environment == {
        "TERM": "xterm",
        "PATH": f"{directory}/prefixes/env-new/bin:/bin",
        "VIRTUAL_ENV": f"{directory}/prefixes/env-new",
        "REGION": "north",
    }
    with pytest.raises(NotFound, match="no VM of this machine"):
        remote.local_place(tmp_path, TWO, {}, own)

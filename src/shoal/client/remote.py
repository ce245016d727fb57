"""How a person gets onto a cluster's VM: in words that a shell runs. Pure, but for `environment`.

Shoal opens no port for SSH and holds no key; each vendor has a way that needs neither.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

import msgspec
import psutil

from shoal.errors import CloudError, NotFound
from shoal.wire.accounts import AwsAccount, AzureAccount, CloudAccount, GcpAccount
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState, InstanceView

SSH_PORT = 22


def chosen(instances: Sequence[InstanceView], named: str | None, cluster: str) -> InstanceView:
    """By id, by number ("2" is shoal-…-2) or by role; the scheduler's VM if none is named."""
    there = [it for it in instances if it.state is InstanceState.LAUNCHED]
    for it in there:
        if named is None and it.role is Role.SCHEDULER:
            return it
        if named is not None and named in (it.id, it.id.rpartition("-")[2], it.role.value, it.vm):
            return it
    known = ", ".join(f"{it.id} ({it.role})" for it in there) or "none"
    what = f"no VM {named!r}" if named else "no scheduler's VM"
    raise NotFound(f"{cluster} has {what} now", hint=f"It has: {known}")


def ssh_line(it: InstanceView, user: str | None, command: Sequence[str]) -> list[str]:
    host = it.address.rpartition(":")[0].strip("[]")
    whom = f"{user}@{host}" if user else host
    return ["ssh", whom, *([shlex.join(command)] if command else [])]


def vendor_line(
    it: InstanceView, account: CloudAccount, region: str | None, command: Sequence[str]
) -> list[str]:
    """The vendor's own command, which gets through without an open port."""
    match account:
        case GcpAccount():
            line = ["gcloud", "compute", "ssh", it.id, "--project", account.project]
            line += ["--zone", it.zone, "--tunnel-through-iap"]
            return [*line, "--command", shlex.join(command)] if command else line
        case AwsAccount():
            line = ["aws", "ssm", "start-session", "--target", it.vm or it.id]
            line += ["--region", region or account.region]
            line += ["--profile", account.profile] if account.profile else []
            if command:
                line += ["--document-name", "AWS-StartNonInteractiveCommand"]
                line += [
                    "--parameters",
                    msgspec.json.encode({"command": [shlex.join(command)]}).decode(),
                ]
            return line
        case AzureAccount():
            line = ["az", "ssh", "vm", "--subscription", account.subscription]
            line += ["--resource-group", account.resource_group, "--name", it.id]
            return [*line, "--", shlex.join(command)] if command else line
        case _:
            assert_never(account)


def needs(account: CloudAccount) -> str:
    """What the vendor's way asks for, besides a login."""
    match account:
        case GcpAccount():
            return (
                "a firewall rule that lets 35.235.240.0/20 reach tcp:22, and the role "
                "roles/iap.tunnelResourceAccessor"
            )
        case AwsAccount():
            return (
                "the Session Manager plugin here, and AmazonSSMManagedInstanceCore in the VMs' role"
            )
        case AzureAccount():
            return (
                "the ssh extension (az extension add --name ssh), a way into the network, and the "
                "role Virtual Machine User Login"
            )
        case _:
            assert_never(account)


def closed(it: InstanceView, account: CloudAccount, line: Sequence[str]) -> CloudError:
    host = it.address.rpartition(":")[0] or "no address"
    return CloudError(
        f"Nothing that is reached from here answers SSH on {it.id} ({host}, port {SSH_PORT}): "
        "Shoal opens no port for it",
        hint=f"The cloud's own way: {shlex.join(line)}\nIt needs {needs(account)}",
    )


class LocalPlace(msgspec.Struct, frozen=True):
    """Where a shell on a VM of this machine begins."""

    directory: Path
    environment: dict[str, str]


def local_place(
    vms: Path, it: InstanceView, environ: Mapping[str, str], own: Mapping[str, str]
) -> LocalPlace:
    """`environ`: the cluster's variables; `own`: this session's, for what a terminal needs."""
    directory = vms / it.id
    if not (directory / "vm.json").exists():
        raise NotFound(
            f"{it.id} is no VM of this machine",
            hint="A team's server runs clusters of cloud='local' on its own machine: log in there",
        )
    found = {name: own[name] for name in _A_TERMINALS if name in own}
    found |= _of_process(directory)
    prefixes = sorted((directory / "prefixes").glob("env-*"), key=lambda it: it.stat().st_mtime)
    if prefixes:
        path = found.get("PATH", os.defpath)
        found |= {"PATH": f"{prefixes[-1] / 'bin'}:{path}", "VIRTUAL_ENV": str(prefixes[-1])}
    return LocalPlace(directory, {**found, **environ})


_A_TERMINALS = ("PATH", "HOME", "USER", "SHELL", "TERM", "COLORTERM", "LANG", "LC_ALL", "DISPLAY")


def _of_process(directory: Path) -> dict[str, str]:
    """The environment that the VM was started with: its size, address and temporary directory."""
    started = msgspec.json.decode((directory / "vm.json").read_bytes(), type=_Started)
    try:
        return dict(psutil.Process(started.pid).environ()) if started.pid else {}
    except psutil.Error:
        return {}


class _Started(msgspec.Struct, frozen=True):
    """As much of vm.json as is looked at."""

    name: InstanceId
    pid: int = 0

"""`shoal cluster ssh`: a shell, or one command, on a cluster's VM."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence

import click

from shoal.cli import output, session
from shoal.client import pages, remote
from shoal.client.api import Api
from shoal.errors import NotFound
from shoal.wire import endpoints
from shoal.wire.accounts import AccountList, CloudAccount, cloud_of
from shoal.wire.specs import Cloud
from shoal.wire.state_directory import state_directory
from shoal.wire.views import ClusterView, InstanceView

_ANSWER_S = 3.0


def run(
    cluster: str, vm: str | None, command: Sequence[str], *, user: str | None, only_print: bool
) -> int:
    """The exit status of the shell or the command."""
    view, instances, account = session.talk(lambda api: _look(api, cluster))
    instance = remote.chosen(instances, vm, view.name)
    if view.spec.cloud is Cloud.LOCAL:
        return _local(view, instance, command, only_print=only_print)
    if account is None:
        raise NotFound(
            f"The VMs of a {view.spec.cloud} cluster cannot be reached by SSH",
            hint="There is no account of that cloud",
        )
    line = remote.ssh_line(instance, user, command)
    if not _answers(instance):
        way = remote.vendor_line(instance, account, view.spec.region, command)
        raise remote.closed(instance, account, way)
    if only_print:
        click.echo(shlex.join(line))
        return 0
    return subprocess.run(line, check=False).returncode


async def _look(
    api: Api, cluster: str
) -> tuple[ClusterView, list[InstanceView], CloudAccount | None]:
    view: ClusterView = await api.call(endpoints.CLUSTER, path={"cluster": cluster})
    instances = [it async for it in pages.instances(api, view.id)]
    if view.spec.cloud is Cloud.LOCAL:
        return view, instances, None
    known: AccountList = await api.call(endpoints.ACCOUNTS)
    mine = [it for it in known.accounts if cloud_of(it) is view.spec.cloud]
    return view, instances, mine[0] if mine else None


def _local(
    view: ClusterView, instance: InstanceView, command: Sequence[str], *, only_print: bool
) -> int:
    vms = state_directory().local_cloud / "vms"
    place = remote.local_place(vms, instance, view.spec.dask.environ, os.environ)
    line = list(command) or [os.environ.get("SHELL") or "/bin/sh"]
    if only_print:
        changed = {k: v for k, v in place.environment.items() if os.environ.get(k) != v}
        pairs = [f"{name}={value}" for name, value in sorted(changed.items())]
        click.echo(
            f"cd {shlex.quote(str(place.directory))} && {shlex.join(['env', *pairs, *line])}"
        )
        return 0
    if not command and sys.stdin.isatty():
        output.note(
            f"{instance.id} in {place.directory}; the end of the VM ends this shell's files"
        )
    try:
        done = subprocess.run(line, cwd=place.directory, env=place.environment, check=False)
    except FileNotFoundError as error:
        raise NotFound(f"There is no {line[0]!r} on {instance.id}: {error.strerror}") from error
    return done.returncode


def _answers(instance: InstanceView) -> bool:
    host = instance.address.rpartition(":")[0].strip("[]")
    if not host:
        return False
    try:
        with socket.create_connection((host, remote.SSH_PORT), timeout=_ANSWER_S):
            return True
    except OSError:
        return False

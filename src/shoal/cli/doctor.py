"""`shoal doctor`: what on this machine, or in a cloud account, may be in the way, with its fix.

Starts nothing and changes nothing, but for --live. Each check of this machine is a function that
returns one Finding; what there is to be checked of a cloud, its own package knows.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from shoal.cli import asking, findings, output
from shoal.cli.findings import Finding, Grade
from shoal.cli.setup import CLOUDS
from shoal.client.credentials import evidence
from shoal.client.credentials.forwarding import Source, sources, told
from shoal.client.credentials.found import READING_FAILED, Place
from shoal.errors import InvalidRequest, ShoalError
from shoal.wire.accounts import CloudAccount
from shoal.wire.specs import Cloud
from shoal.wire.state_directory import StateDirectory, state_directory

_FREE_GIB = 5
_GIB = 1 << 30


@click.command("doctor")
@click.argument("cloud", required=False, type=click.Choice(("local", *CLOUDS)))
@click.option("--region", help="The account's own if not given.")
@click.option("--n-workers", type=click.IntRange(1), help="Hold quotas against such a cluster.")
@click.option("--worker-cpu", type=click.IntRange(1), help="vCPUs of each of its workers.")
@click.option("--worker-memory", help="Of each, as in '16 GiB'.")
@click.option("--worker-gpu", type=click.IntRange(1, 16), help="GPUs of each.")
@click.option("--worker-gpu-type", help="By the cloud's name, as in T4.")
@click.option("--spot", is_flag=True, help="Its workers are spot VMs.")
@click.option("--live", is_flag=True, help="Make one small VM, look at it, end it.")
@click.option("--yes", is_flag=True, help="Do not ask before --live.")
@output.json_option
def command(
    cloud: str | None,
    region: str | None,
    live: bool,
    yes: bool,
    as_json: bool,
    spot: bool,
    **workers: object,
) -> int:
    """Look for what may be in the way: on this machine, or in a cloud account.

    The exit status is 1 if something is. Only --live makes anything, and it leaves nothing.

    Quotas are held against a first, small cluster, or against one that you describe.

    Example: shoal doctor gcp --n-workers 100 --worker-cpu 8 --spot
    """
    if live and cloud is None:
        raise InvalidRequest("--live needs a cloud.", hint="As in: shoal doctor gcp --live")
    asked = {name: it for name, it in workers.items() if it is not None}
    if asked or spot:
        asked["spot_policy"] = "spot" if spot else "on-demand"
    if cloud is None or cloud == "local":
        if asked:
            raise InvalidRequest(
                "Quotas are a cloud's.", hint="As in: shoal doctor gcp --n-workers 9"
            )
        found = examine(state_directory())
    else:
        found = asyncio.run(examine_cloud(Cloud(cloud), region, asked))
    width = max((len(it.check) for it in found), default=0)
    if not as_json:
        findings.show(found, width=width)
    if live and cloud is not None:
        found += _live(Cloud(cloud), region, yes=yes, width=None if as_json else width)
    if as_json:
        output.json(found)
    return 1 if findings.any_bad(found) else 0


async def examine_cloud(
    cloud: Cloud, region: str | None, asked: Mapping[str, object]
) -> list[Finding]:
    """As it is registered; else as the login here would be set up. `asked`: arguments of
    `shoal.Cluster`, of a cluster that quotas are held against; empty: none."""
    from shoal.cli import asked_cluster
    from shoal.cli.setup import ServerRegister
    from shoal.clouds import logins

    registered = await asyncio.to_thread(ServerRegister().known, cloud)
    if registered is None:
        account: CloudAccount = await asyncio.to_thread(logins.discover, cloud, None, region)
    else:
        account = registered
    place = region or account.region
    parts = asked_cluster.parts(cloud, place, asked) if asked else ()
    seen = await logins.examined(account).check(place, parts)
    found = [findings.of_cloud(it) for it in seen]
    if parts:
        told = f"quotas are held against {asked_cluster.described(parts)}"
        found.insert(0, Finding("cluster", Grade.GOOD, told))
    if registered is None:
        fix = f"shoal setup {cloud}"
        found.append(Finding("registered", Grade.BAD, "the server knows no such account", fix))
    return found


def _live(cloud: Cloud, region: str | None, *, yes: bool, width: int | None) -> list[Finding]:
    from shoal.cli import live_check

    if not yes:
        asking.confirmed("Make one small VM for some minutes?")
    found = []
    for it in live_check.prove(cloud, region):
        found.append(it)
        if width is not None:
            findings.show([it], width=width)
    return found


def examine(state: StateDirectory) -> list[Finding]:
    checks: tuple[Callable[[], Finding], ...] = (
        python,
        dask_versions,
        uv,
        lambda: directory(state.root),
        lambda: disk(state.root),
        lambda: server(state),
        loopback,
        memory_limits,
    )
    return [*(check() for check in checks), *identities(evidence.here())]


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    own = sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ
    if own:
        return Finding("python", Grade.GOOD, f"{version} in {sys.prefix}")
    return Finding(
        "python",
        Grade.NOTE,
        f"{version}, not in an environment of its own: all of it is copied to workers",
        "Work in one: python -m venv .venv && . .venv/bin/activate",
    )


def dask_versions() -> Finding:
    from importlib.metadata import version

    dask, distributed = version("dask"), version("distributed")
    if dask.split(".")[:2] == distributed.split(".")[:2]:
        return Finding("dask", Grade.GOOD, f"dask {dask}, distributed {distributed}")
    return Finding(
        "dask",
        Grade.BAD,
        f"dask {dask} and distributed {distributed} are not of one release",
        "Install them together: uv pip install -U dask distributed",
    )


def uv() -> Finding:
    import uv as package

    try:
        found = package.find_uv_bin()
        told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        fix = "Install it again: pip install --force-reinstall uv"
        return Finding("uv", Grade.BAD, f"uv does not run: {error}", fix)
    return Finding("uv", Grade.GOOD, told.stdout.strip())


def directory(root: Path) -> Finding:
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        fix = f"Make it yours: sudo chown -R $USER {root} (or set SHOAL_STATE_DIR)"
        return Finding("state directory", Grade.BAD, f"{root} cannot be written", fix)
    mode = root.stat().st_mode & 0o777
    if os.name == "posix" and mode & 0o077:
        return Finding(
            "state directory",
            Grade.BAD,
            f"{root} is open to other users (mode {mode:o}), and it holds keys",
            f"chmod 700 {root}",
        )
    return Finding("state directory", Grade.GOOD, str(root))


def disk(root: Path) -> Finding:
    free = shutil.disk_usage(root).free
    if free >= _FREE_GIB * _GIB:
        return Finding("disk", Grade.GOOD, f"{output.size(free)} free")
    return Finding(
        "disk",
        Grade.BAD,
        f"{output.size(free)} free where {root} is; environments need {_FREE_GIB} GiB",
        "Make room, or set SHOAL_STATE_DIR to a larger disk",
    )


def server(state: StateDirectory) -> Finding:
    from shoal.client import connection, embedded

    try:
        team = connection.configured()
        if team is not None:
            return _team_server()
        found = embedded.running(state)
    except ShoalError as error:
        return Finding("server", Grade.BAD, error.message, error.hint)
    if found is None:
        return Finding("server", Grade.GOOD, "none runs; it starts by itself when it is needed")
    return Finding("server", Grade.GOOD, f"{found.version} at {found.url} (pid {found.pid})")


def _team_server() -> Finding:
    from shoal.cli import session
    from shoal.wire import endpoints
    from shoal.wire.views import ServerInfo

    info: ServerInfo = session.ask(endpoints.SERVER)
    return Finding("server", Grade.GOOD, f"{info.version}, you are {info.user} there")


def loopback() -> Finding:
    """Whether local VMs can have addresses of their own."""
    try:
        with socket.socket() as it:
            it.bind(("127.86.0.1", 0))
    except OSError:
        return Finding(
            "loopback",
            Grade.NOTE,
            "only 127.0.0.1 can be used: local VMs share it and differ in their ports",
            "Nothing has to be done; Linux has all of 127.0.0.0/8",
        )
    return Finding("loopback", Grade.GOOD, "each local VM gets its own 127.x.y.z")


def memory_limits() -> Finding:
    """Whether the kernel can be asked to hold a local VM to its memory."""
    from shoal.clouds import local_groups

    version = local_groups.version()
    if version is not None:
        return Finding("memory limits", Grade.GOOD, f"kept by the kernel (cgroup v{version})")
    return Finding(
        "memory limits",
        Grade.NOTE,
        "no cgroup may be made here: each local VM's agent watches its memory instead",
        "Nothing has to be done; with systemd, run in: systemd-run --user --scope -p Delegate=yes",
    )


def identities(place: Place) -> list[Finding]:
    """Which logins of this session its clusters are forwarded."""
    found = sources(Cloud.AWS, place)
    if not found:
        text = "there is no login to a cloud here, so none is forwarded to clusters"
        return [Finding("credentials", Grade.GOOD, text)]
    return [_identity(it) for it in found]


def _identity(source: Source) -> Finding:
    check = f"credentials, {source.cloud}"
    try:
        found = source.make().read(datetime.now(UTC), frozenset())
    except READING_FAILED as error:
        fix = error.hint if isinstance(error, ShoalError) else ""
        why = error.message if isinstance(error, ShoalError) else told(error)
        return Finding(check, Grade.NOTE, f"not forwarded: {why}", fix)
    until = found.expires_at.astimezone()
    text = f"{found.identity} is forwarded to clusters, now until {until:%H:%M}, and renewed"
    return Finding(check, Grade.GOOD, text)

"""`shoal env`: the environment that clusters get a copy of, and those kept under names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from shoal.cli import output

if TYPE_CHECKING:
    from shoal.client.api import Api
    from shoal.software.sync import ReportRow
    from shoal.wire.endpoints import EnvironmentList
    from shoal.wire.environments import Manifest
    from shoal.wire.views import EnvironmentView

_PLATFORMS = {
    "here": "",
    "linux-x86_64": "x86_64-unknown-linux-gnu",
    "linux-aarch64": "aarch64-unknown-linux-gnu",
}


class _Wanted(NamedTuple):
    """A file, or what to leave out of a copy."""

    software: str
    ignore: tuple[str, ...]
    only: tuple[str, ...] | None


@click.group("env")
def command() -> None:
    """The environment that clusters get a copy of, and those kept under names.

    Example: shoal env scan
    """


@command.command()
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Whose modules go along (default: the working directory).",
)
@click.option(
    "--software",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that describes an environment, in place of this one. It is resolved.",
)
@click.option("--ignore", multiple=True, help="Leave a package out. May be given several times.")
@click.option("--only", multiple=True, help="Take these and what they need. May be repeated.")
@output.json_option
def scan(
    directory: Path | None,
    software: Path | None,
    ignore: tuple[str, ...],
    only: tuple[str, ...],
    as_json: bool,
) -> None:
    """What a cluster would get, from where, and what it cannot get and why. Nothing is built,
    but of what a file given with --software asks for.

    \b
    Examples:
      shoal env scan --ignore jupyterlab
      shoal env scan --software requirements.txt
    """
    from shoal.software.sync import SyncRequest, report

    if software is not None:
        if ignore or only or directory:
            raise click.UsageError("--software goes without --directory, --ignore and --only")
        _scan_file(software, as_json)
        return
    where = (directory or Path.cwd()).resolve()
    rows = report(SyncRequest(working_directory=where, ignore=ignore, only=only or None))
    if as_json:
        output.json({"directory": str(where), "packages": rows})
        return
    titles = ("package", "version", "action", "from")
    cells = [(it.name, it.version, it.action, it.reason or it.source) for it in rows]
    output.columns(titles, cells, nothing="Nothing can be imported here but Python itself.")
    output.note(_summary(rows))


def _scan_file(software: Path, as_json: bool) -> None:
    from shoal.software.sync import SyncRequest, note_lines, synchronise
    from shoal.wire.state_directory import state_directory

    request = SyncRequest(working_directory=Path.cwd(), software=software.resolve())
    made = synchronise(request, cache=state_directory().cache)
    if as_json:
        output.json(
            {"file": str(software), "packages": made.manifest.packages, "notes": made.notes}
        )
        return
    _packages(made.manifest)
    for line in note_lines(made.notes):
        output.note(f"note: {line}")


@command.command()
@click.argument("name")
@click.option(
    "--software",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that describes an environment (default: a copy of this one).",
)
@click.option(
    "--for",
    "machines",
    type=click.Choice(list(_PLATFORMS)),
    default="here",
    show_default=True,
    help="For VMs of this machine, or of a cloud.",
)
@click.option("--ignore", multiple=True, help="Leave a package out. May be given several times.")
@click.option("--only", multiple=True, help="Take these and what they need. May be repeated.")
@output.json_option
def save(
    name: str,
    software: Path | None,
    machines: str,
    ignore: tuple[str, ...],
    only: tuple[str, ...],
    as_json: bool,
) -> None:
    """Keep an environment on the server under NAME, for Cluster(software=NAME) by everybody in
    the workspace. A name that is there means the new one from now on.

    \b
    Examples:
      shoal env save pipelines
      shoal env save pipelines-arm --software requirements.txt --for linux-aarch64
    """
    from shoal.cli import session

    if software is not None and (ignore or only):
        raise click.UsageError("--software goes without --ignore and --only")
    wanted = _Wanted(str(software.resolve()) if software else "", ignore, only or None)
    saved = session.talk(lambda api: _save(api, name, wanted, _PLATFORMS[machines]))
    if as_json:
        output.json(saved)
        return
    output.note(f"Saved {saved.id} ({saved.packages} packages) as {saved.name}. Use it with:")
    click.echo(f'shoal.Cluster(software="{saved.name}")')


@command.command("list")
@output.json_option
def list_(as_json: bool) -> None:
    """Environments that are kept under names, and what was made of them.

    Example: shoal env list
    """
    from shoal.cli import session
    from shoal.wire import endpoints

    found: EnvironmentList = session.ask(endpoints.ENVIRONMENTS)
    if as_json:
        output.json(found)
        return
    titles = ("name", "id", "packages", "own wheels", "platform", "saved", "by", "used", "clusters")
    nothing = "None is kept. Keep a copy of this one with: shoal env save NAME"
    output.columns(titles, [_kept(it) for it in found.environments], nothing=nothing)


@command.command()
@click.argument("environment")
@output.json_option
def show(environment: str, as_json: bool) -> None:
    """What is in an environment, by its name or id, or by a cluster that uses it.

    \b
    Examples:
      shoal env show pipelines
      shoal env show my-cluster
      shoal env show env-0123456789abcdef0123456789abcdef --json
    """
    from shoal.cli import session

    found = session.talk(lambda api: _found(api, environment))
    if as_json:
        output.json(found)
        return
    output.facts([("id", found.id), ("python", found.python), ("platform", found.platform)])
    click.echo()
    _packages(found)


@command.command()
@click.argument("name")
@output.json_option
def forget(name: str, as_json: bool) -> None:
    """Forget the name of an environment. Clusters that were made with it keep what they have.

    Example: shoal env forget pipelines
    """
    from shoal.cli import session
    from shoal.wire import endpoints

    answer = session.ask(endpoints.FORGET_ENVIRONMENT, path={"name": name})
    if as_json:
        output.json(answer)
    else:
        output.note(f"{name} is no longer the name of an environment.")


async def _save(api: Api, name: str, wanted: _Wanted, platform: str) -> EnvironmentView:
    from shoal.client import environment
    from shoal.client.arguments import Software
    from shoal.client.progress import Progress, rendering
    from shoal.software.targets import Target, here
    from shoal.wire import endpoints
    from shoal.wire.requests import SaveEnvironment

    target = Target(here().python, platform) if platform else None
    software = Software(wanted.software, wanted.ignore, wanted.only)
    progress = Progress(name, rendering(show=True))
    try:
        await api.connect()
        copied = await environment.copy(software, target, progress)
        id = await environment.register(api, copied, progress)
    finally:
        progress.close()
    saved: EnvironmentView = await api.call(
        endpoints.SAVE_ENVIRONMENT, path={"name": name}, body=SaveEnvironment(id)
    )
    return saved


async def _found(api: Api, word: str) -> Manifest:
    """A name or an id, else a cluster that has one."""
    from shoal.errors import NotFound
    from shoal.wire import endpoints
    from shoal.wire.views import ClusterView

    try:
        found: Manifest = await api.call(endpoints.ENVIRONMENT, path={"environment": word})
    except NotFound:
        if word.startswith("env-"):
            raise
        view: ClusterView = await api.call(endpoints.CLUSTER, path={"cluster": word})
        found = await api.call(endpoints.ENVIRONMENT, path={"environment": view.spec.environment})
    return found


def _kept(it: EnvironmentView) -> tuple[str, ...]:
    running = f", {it.running} running" if it.running else ""
    return (
        it.name,
        it.id,
        str(it.packages),
        output.size(it.wheels_bytes),
        it.platform,
        output.ago(it.saved_at),
        it.saved_by,
        output.ago(it.last_used_at) or "never",
        f"{it.clusters}{running}",
    )


def _packages(manifest: Manifest) -> None:
    rows = [(it.name, it.version, it.source) for it in manifest.packages]
    output.columns(("package", "version", "from"), rows, nothing="It has no packages.")


def _summary(rows: tuple[ReportRow, ...]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.action] = counts.get(row.action, 0) + 1
    return ", ".join(f"{number} to {action}" for action, number in counts.items())

"""`shoal env`: the environment that clusters get a copy of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shoal.cli import output

if TYPE_CHECKING:
    from shoal.software.sync import ReportRow
    from shoal.wire.environments import Manifest


@click.group("env")
def command() -> None:
    """The environment that clusters get a copy of: scan, show.

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
@click.argument("environment")
@output.json_option
def show(environment: str, as_json: bool) -> None:
    """What is in an environment, by its id or by a cluster that uses it.

    \b
    Examples:
      shoal env show my-cluster
      shoal env show env-0123456789abcdef0123456789abcdef --json
    """
    from shoal.cli import session
    from shoal.wire import endpoints
    from shoal.wire.views import ClusterView

    if not environment.startswith("env-"):
        view: ClusterView = session.ask(endpoints.CLUSTER, path={"cluster": environment})
        environment = view.spec.environment
    found: Manifest = session.ask(endpoints.ENVIRONMENT, path={"environment": environment})
    if as_json:
        output.json(found)
        return
    output.facts([("id", found.id), ("python", found.python), ("platform", found.platform)])
    click.echo()
    _packages(found)


def _packages(manifest: Manifest) -> None:
    rows = [(it.name, it.version, it.source) for it in manifest.packages]
    output.columns(("package", "version", "from"), rows, nothing="It has no packages.")


def _summary(rows: tuple[ReportRow, ...]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.action] = counts.get(row.action, 0) + 1
    return ", ".join(f"{number} to {action}" for action, number in counts.items())

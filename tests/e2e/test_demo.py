"""The first thing that anybody does: `make demo` in a fresh checkout, as somebody new here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import pytest

from tests.e2e.session import PROJECT, Session

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

_CELL = r" +([\d.]+|NaN)"  # some airlines flew in one season only
_TABLE = re.compile(rf"^(\D+?){_CELL * 4}$", re.MULTILINE)


class Told(msgspec.Struct, frozen=True):
    """What `make demo` printed."""

    data: str
    notes: str


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Somebody with a checkout and an empty home; their packages may be in uv's cache."""
    root = tmp_path_factory.mktemp("newcomer")
    home, checkout = root / "home", root / "checkout"
    home.mkdir()
    for part in ("src", "web", "Makefile", "pyproject.toml", "README.md", "LICENSE"):
        _copy(PROJECT / part, checkout / part)
    (root / "tmp").mkdir()
    session = Session(root, checkout / ".venv" / "bin" / "python")
    session.state = home / ".local" / "state" / "shoal"
    session.work = checkout
    for name in ("SHOAL_STATE_DIR", "SHOAL_CONFIG_DIR", "VIRTUAL_ENV"):
        session.environment.pop(name, None)
    cache = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    session.environment |= {"HOME": str(home), "TMPDIR": str(root / "tmp"), "UV_CACHE_DIR": cache}
    yield session
    session.shoal("server", "stop", check=False)
    for it in session.processes():
        it.kill()


@pytest.fixture(scope="module")
def told(newcomer: Session) -> Told:
    base = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={base}"],
        cwd=newcomer.work,
        env=newcomer.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Told(done.stdout, done.stderr)


def test_it_computes_over_all_flights(told: Told) -> None:
    assert "336,776 flights. Late by" in told.data
    rows = _TABLE.findall(told.data)
    assert len(rows) == 8
    shares = [float(cell) for row in rows for cell in row[1:] if cell != "NaN"]
    assert len(shares) >= 28
    assert all(0 <= it <= 100 for it in shares)


def test_each_worker_imports_the_project_and_the_module_from_a_place_of_its_own(told: Told) -> None:
    prefixes = re.findall(r"worker \d+, in its own (\S+)", told.data)
    assert len(prefixes) == len(set(prefixes)) >= 2
    for module in ("flight_delays/__init__.py", "seasons.py", "pandas/__init__.py"):
        assert told.data.count(f"site-packages/{module}") >= len(prefixes)


def test_it_tells_how_long_the_phases_took_and_what_it_would_have_cost(told: Told) -> None:
    assert re.search(r"cluster up: [\d.]+ s, first task: [\d.]+ s, flights: [\d.]+ s", told.data)
    assert re.search(r"have cost \$\d+\.\d+; your own machine bills nothing", told.data)
    for phase in ("Server", "Environment", "Scheduler", "Workers"):
        assert re.search(rf"{phase}: .*\([\d.]+ s\)", told.notes), phase


def test_the_cluster_can_be_looked_at_where_it_says(told: Told, newcomer: Session) -> None:
    url = re.search(r"or at (http\S+)", told.data)
    assert url is not None
    assert httpx2.get(url[1], follow_redirects=True).status_code == 200
    for command in re.findall(r"shoal (cluster \w+ \S+)", told.data):
        assert newcomer.shoal(*command.split()).stdout


@pytest.mark.usefixtures("told")
def test_nothing_is_left_but_the_record(newcomer: Session) -> None:
    newcomer.nothing_left()
    assert not list((newcomer.root / "tmp").glob("shoal-demo-*"))


def _copy(part: Path, to: Path) -> None:
    if part.is_dir():
        shutil.copytree(part, to, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(part, to)

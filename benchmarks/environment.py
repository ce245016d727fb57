"""Package sync: scanning, finding that nothing changed, realising, and a changed project."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uv

from benchmarks.table import Row
from shoal.software.realise import realise
from shoal.software.scan import scan
from shoal.software.sync import SyncRequest, synchronise
from shoal.wire.environments import Manifest

HERE = Path(__file__).parent
SCIENCE = ["numpy", "pandas", "pyarrow", "scikit-learn", "dask", "distributed"]
RUNS = 5


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        return [*_scanning(root), *_unchanged(root), *_realising(root), *_changed(root)]


def _scanning(root: Path) -> list[Row]:
    site = root / "site"
    for number in range(300):
        information = site / f"package_{number}-1.{number}.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Name: package-{number}\nVersion: 1.{number}\n")
        (information / "RECORD").write_text("")
    empty = root / "empty"
    empty.mkdir()
    seconds = _median(lambda: scan(empty, [str(site)]))
    return [Row("scan of 300 packages", seconds, "s", aim="≤ 0.5")]


def _unchanged(root: Path) -> list[Row]:
    empty = root / "empty"
    synchronise(SyncRequest(empty), cache=root / "cache")
    seconds = _median(lambda: synchronise(SyncRequest(empty), cache=root / "cache"))
    return [Row("nothing changed: scan, classify, lock", seconds, "s", aim="≤ 0.3")]


def _realising(root: Path) -> list[Row]:
    requirements = root / "requirements.txt"
    requirements.write_text("\n".join(SCIENCE))
    manifest = synchronise(SyncRequest(root, software=requirements), cache=root / "cache").manifest
    lock = root / "pylock.toml"
    lock.write_text(manifest.lock)
    bare, ours, clones = [], [], []
    for number in range(RUNS + 1):  # the first fills the installer's cache
        bare.append(_timed(lambda n=number: _bare_sync(root / f"bare-{n}", lock)))
        store = root / f"store-{number}"
        told = asyncio.run(_realise(manifest, root / f"first-{number}", store))
        ours.append(told["installing"])
        clones.append(_timed(lambda n=number, s=store: _again(manifest, root / f"second-{n}", s)))
        for made in (root / f"bare-{number}", root / f"first-{number}", store):
            shutil.rmtree(made)
    baseline = statistics.median(bare[1:])
    realised, cloned = statistics.median(ours[1:]), statistics.median(clones[1:])
    return [
        Row("bare uv venv + uv pip sync, data science, warm cache", baseline, "s"),
        Row("realise the same, first VM of a machine, byte code of Dask included", realised, "s"),
        Row("realise the same, every further VM of the machine", cloned, "s"),
        Row("  further VM × bare", cloned / baseline, "×", aim="≤ 1.2"),
    ]


def _bare_sync(where: Path, lock: Path) -> None:
    uv_bin = uv.find_uv_bin()
    subprocess.run([uv_bin, "venv", "--quiet", where], check=True)
    command = [uv_bin, "pip", "sync", "--quiet", "--python", where / "bin" / "python", lock]
    subprocess.run(command, check=True)


async def _realise(manifest: Manifest, prefix: Path, store: Path) -> dict[str, float]:
    made = await realise(
        manifest, wheels=store, prefix=prefix, store=store, report=lambda told: None
    )
    return dict(made.seconds)


def _again(manifest: Manifest, prefix: Path, store: Path) -> None:
    asyncio.run(_realise(manifest, prefix, store))
    shutil.rmtree(prefix)


def _changed(root: Path) -> list[Row]:
    """From a saved file to the result of the changed code on a new cluster."""
    project = root / "seaweed"
    (project / "seaweed").mkdir(parents=True)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "seaweed"\nversion = "1"\n'
    )
    module = project / "seaweed" / "__init__.py"
    module.write_text("VALUE = 0\n")
    uv_bin, python = uv.find_uv_bin(), root / "venv" / "bin" / "python"
    subprocess.run(
        [uv_bin, "venv", "--quiet", "--python", sys.executable, root / "venv"], check=True
    )
    install = [uv_bin, "pip", "install", "--quiet", "--python", python, HERE.parent, "-e", project]
    subprocess.run(install, check=True)
    environment = dict(os.environ, SHOAL_STATE_DIR=str(root / "state"))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        done = subprocess.run(
            [python, HERE / "changed_project.py", module, str(RUNS)],
            env=environment, cwd=root / "empty", check=True, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip
    finally:
        subprocess.run(
            [python.parent / "shoal", "server", "stop"], env=environment, check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    seconds = statistics.median(json.loads(done.stdout.splitlines()[-1]))
    return [Row("a changed editable project, to its result on a new cluster", seconds, "s", "≤ 3")]


def _median(work: Callable[[], object]) -> float:
    return statistics.median(_timed(work) for _ in range(RUNS))


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun

"""Start to first result with two workers: Shoal, LocalCluster and dask-gateway's local backend.

The three run in one environment made for it, in turn, so that a machine that gets slower is slower
for all.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import uv

from benchmarks.table import Row

HERE = Path(__file__).parent
CONTENDERS = ("local", "gateway", "shoal")
ROUNDS, RUNS = 3, 2
PAUSE_S = 4.0  # the cluster before is gone by then


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        python = environment_with_all(Path(directory) / "venv", gateway=True)
        work = Path(directory) / "work"
        work.mkdir()
        shutil.copy(HERE / "contenders.py", work)
        state = dict(os.environ, SHOAL_STATE_DIR=f"{directory}/state")
        state.pop("PYTHONDONTWRITEBYTECODE", None)
        seconds: dict[str, list[float]] = {it: [] for it in CONTENDERS}
        at_once: dict[str, list[float]] = {it: [] for it in CONTENDERS}
        try:
            for _ in range(ROUNDS):
                for which in CONTENDERS:
                    seconds[which] += _run(python, which, state, work, PAUSE_S)
                    at_once[which] += _run(python, which, state, work, 0.0)
        finally:
            subprocess.run([python.parent / "shoal", "server", "stop"], env=state, check=False)
    median = {it: statistics.median(times) for it, times in seconds.items()}
    busy = {it: statistics.median(times) for it, times in at_once.items()}
    return [
        Row("start to first result, LocalCluster", median["local"], "s"),
        Row("start to first result, dask-gateway (local backend)", median["gateway"], "s"),
        Row("start to first result, Shoal", median["shoal"], "s"),
        Row("  more than LocalCluster", median["shoal"] - median["local"], "s", aim="≤ 1.2"),
        Row("  × dask-gateway", median["shoal"] / median["gateway"], "×", aim="≤ 0.75"),
        Row("while the cluster before still ends, LocalCluster", busy["local"], "s"),
        Row("  dask-gateway", busy["gateway"], "s"),
        Row("  Shoal", busy["shoal"], "s"),
    ]


def environment_with_all(where: Path, *, gateway: bool) -> Path:
    """One environment with Shoal (and dask-gateway), as a user would install them."""
    python = where / "bin" / "python"
    packages = [f"{HERE.parent}"]
    packages += ["dask-gateway", "dask-gateway-server[local]"] if gateway else []
    uv_bin = uv.find_uv_bin()
    subprocess.run([uv_bin, "venv", "--quiet", "--python", sys.executable, where], check=True)
    subprocess.run([uv_bin, "pip", "install", "--quiet", "--python", python, *packages], check=True)
    return python


def _run(
    python: Path, which: str, environment: dict[str, str], cwd: Path, pause_s: float
) -> list[float]:
    done = subprocess.run(
        [python, cwd / "contenders.py", which, str(RUNS), str(pause_s)],
        env=environment,
        cwd=cwd,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=300,
    )
    times: list[float] = json.loads(done.stdout.splitlines()[-1])
    return times

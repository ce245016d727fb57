"""Many small tasks on a Shoal cluster and on a LocalCluster with the same workers, in one run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.start import environment_with_all
from benchmarks.table import Row

HERE = Path(__file__).parent
ROUNDS = 5


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        python = environment_with_all(Path(directory) / "venv", gateway=False)
        environment = dict(os.environ, SHOAL_STATE_DIR=f"{directory}/state")
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        work = Path(directory) / "work"
        work.mkdir()
        rates: dict[str, list[float]] = {"local": [], "shoal": []}
        try:
            for _ in range(ROUNDS):
                for which, seen in rates.items():
                    done = subprocess.run(
                        [python, HERE / "many_tasks.py", which],
                        env=environment, cwd=work, check=True, stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL, timeout=300,
                    )  # fmt: skip
                    seen.append(json.loads(done.stdout.splitlines()[-1]))
        finally:
            stop = [python.parent / "shoal", "server", "stop"]
            subprocess.run(stop, env=environment, check=False, stdout=subprocess.DEVNULL)
    local, shoal = statistics.median(rates["local"]), statistics.median(rates["shoal"])
    return [
        Row("tasks a second, LocalCluster", local, "/s"),
        Row("tasks a second, Shoal", shoal, "/s"),
        Row("  × LocalCluster", shoal / local, "×", aim="≥ 0.95"),
    ]

"""What recording costs: a computation, the server, its disk; and how soon a loss is shown."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.start import environment_with_all
from benchmarks.table import Row

HERE = Path(__file__).parent
JOBS = (
    ("small", 100_000, 100, "100,000 small tasks"),
    ("submitted", 20_000, 40, "20,000 tasks submitted one by one"),
    ("shuffle", 360, 60, "60 P2P shuffles of 6 days"),
)
WALL, CPU = 0, 1  # in what `recorded_tasks` tells of a run
WORKERS, MINUTES, LOSSES = 1_000, 60, 5


def measure() -> list[Row]:
    return [*_overhead(), *_server(), *_shown()]


def _overhead() -> list[Row]:
    """Of all pairs together, with the standard error that their scatter leaves."""
    rows = []
    for kind, tasks, pairs, words in JOBS:
        told = _run("recorded_tasks", kind, str(tasks), str(pairs))
        for n, what in ((WALL, "by the clock"), (CPU, "CPU of the scheduler's process")):
            off, on = ([run[n] for run in told[which]] for which in ("off", "on"))
            rows += _compared(f"{words}, {what}", off, on)
        own_s = sum(sum(run[2].values()) for run in told["on"])
        rows.append(Row("  of it the recording's own parts", 100 * own_s / sum(on), "%"))
    return rows


def _compared(words: str, off: list[float], on: list[float]) -> list[Row]:
    more = [100 * (recorded / not_ - 1) for not_, recorded in zip(off, on, strict=True)]
    error = statistics.stdev(more) / len(more) ** 0.5
    return [
        Row(f"{words}, not recorded", sum(off), "s"),
        Row("  recorded", sum(on), "s"),
        Row("  more, in total", 100 * (sum(on) / sum(off) - 1), "%", "< 2"),
        Row("  more, mean of the pairs", statistics.mean(more), "%"),
        Row("  its standard error", error, "%"),
    ]


def _server() -> list[Row]:
    told = _run("replayed_hour", str(WORKERS), str(MINUTES))
    return [
        Row("1,000 workers: CPU of the server, of one core", told["cpu_share"] * 100, "%"),
        Row("  a worker-hour: CPU", told["cpu_s_per_worker_hour"] * 1000, "ms"),
        Row("  a worker-hour: disk", told["bytes_per_worker_hour"] / 1024, "KiB"),
        Row("  received over HTTPS", told["received_mib"], "MiB"),
        Row("  memory of the process that records", told["memory_mib"], "MiB"),
        Row("  more than at the start", told["more_memory_mib"], "MiB"),
        Row("  disk: now", told["samples_mib"], "MiB"),
        Row("  two hours later, by the minute", told["mib_after_two_hours"], "MiB"),
        Row("  three days later, by ten minutes", told["mib_after_three_days"], "MiB"),
    ]


def _shown() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        python = environment_with_all(Path(directory) / "venv", gateway=False)
        environment = dict(os.environ, SHOAL_STATE_DIR=f"{directory}/state")
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        work = Path(directory) / "work"
        work.mkdir()
        try:
            seen = _run("shown_loss", str(LOSSES), python=python, env=environment, cwd=work)
        finally:
            stop = [python.parent / "shoal", "server", "stop"]
            subprocess.run(stop, env=environment, check=False, stdout=subprocess.DEVNULL)
    return [
        Row(f"{words}, until {where}: {which}", how(it[n] for it in seen[kind]), "s", "< 2")
        for kind, words in (("worker", "a worker is killed"), ("vm", "its VM vanishes"))
        for n, where in enumerate(("the API tells", "an open page shows it"))
        for which, how in (("median", statistics.median), ("longest", max))
    ]


def _run(name, *arguments, python=sys.executable, env=None, cwd=None):  # type: ignore[no-untyped-def]
    done = subprocess.run(
        [python, HERE / f"{name}.py", *arguments], env=env, cwd=cwd or HERE.parent, check=True,
        stdout=subprocess.PIPE, stderr=sys.stderr, timeout=3600,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])

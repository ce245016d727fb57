"""A server with 100 running clusters of 100 workers whose heads report all VMs every 5 seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.table import Row


def measure() -> list[Row]:
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "busy_server.py"],
        check=True, stdout=subprocess.PIPE, timeout=300, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    return [
        Row("server, 100 × 100 workers: memory", told["memory_mib"], "MiB"),
        Row("server, 100 × 100 workers: CPU, of one core", told["cpu_share"] * 100, "%"),
        Row("server, 100 × 100 workers: one cluster over the API, median", told["p50_ms"], "ms"),
        Row("server, 100 × 100 workers: the same, 95th percentile", told["p95_ms"], "ms"),
    ]

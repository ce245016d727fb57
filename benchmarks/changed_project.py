"""Run in an environment with Shoal and the editable project `seaweed`: `MODULE RUNS`.

Changes the module, makes a new cluster, and computes with the change; the seconds of each as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import distributed  # noqa: F401  a session has it imported already

import shoal


def value() -> int:
    import seaweed

    return seaweed.VALUE


def changed(module: Path, number: int) -> float:
    begun = time.perf_counter()
    module.write_text(f"VALUE = {number}\n")
    with (
        shoal.Cluster(n_workers=1, worker_cpu=1, show_widget=False) as cluster,
        cluster.get_client() as client,
    ):
        assert client.submit(value).result() == number
        return time.perf_counter() - begun


if __name__ == "__main__":
    changed(Path(sys.argv[1]), 0)  # warm: the server, the store
    print(json.dumps([changed(Path(sys.argv[1]), n) for n in range(1, int(sys.argv[2]) + 1)]))

"""Phases of a boot on each cloud, without a cloud: VMs in namespaces of this machine (tests/vms).

A scheduler and two workers start at once, on one machine's processors, from the image's own
cloud-init to workers that compute. Each VM's times are read from what it wrote: the boot text's
document, the agent's bundle, the environment. Needs Linux and root.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.cloud_servers import ACCOUNTS, plain_server
from tests.e2e.session import Session, make_environment
from tests.vms import base, namespaces

from benchmarks.table import Row

PROJECT = Path(__file__).parents[1]
PHASES = (
    ("launched", "boot text", "VM launched → boot text starts (cloud-init)"),
    ("boot text", "agent", "boot text starts → agent starts"),
    ("agent", "environment", "agent starts → environment ready (mostly the installer's)"),
    ("environment", "registered", "environment ready → Dask worker registered"),
)

JOB = """
    import json, time
    started = time.time()
    import shoal

    def times():
        import os, sys
        home = "/var/lib/shoal"
        return {
            "boot text": os.stat(home + "/boot.json").st_mtime,
            "agent": os.stat(home + "/bundle/bundle.json").st_mtime,
            "environment": os.stat(sys.prefix).st_mtime,
        }

    def registered(dask_scheduler):
        events = dask_scheduler.get_events("all")
        return {it["worker"]: at for at, it in events if it.get("action") == "add-worker"}

    if __name__ == "__main__":
        with shoal.Cluster("timed", cloud="CLOUD", n_workers=2) as cluster:
            with cluster.get_client() as client:
                client.submit(sum, [1, 2]).result()
                whole = time.time() - started
                client.wait_for_workers(2)
                at = client.run_on_scheduler(registered)
                told = client.run(times).items()
                workers = [it | {"registered": at[who]} for who, it in told]
                print("TOLD", json.dumps([whole, workers]))
"""


def measure() -> list[Row]:
    if reason := ", ".join(namespaces.missing()) or namespaces.forbidden(base.cache()):
        raise SystemExit(f"VMs cannot be made here: {reason}")
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        session = Session(root, make_environment(root / "venv", [str(PROJECT)]))
        return [row for cloud in ACCOUNTS for row in _measure(session, cloud)]


def _measure(session: Session, cloud: str) -> Iterator[Row]:
    with plain_server(session, cloud) as server:
        lines = session.run(JOB.replace("CLOUD", cloud), timeout_s=300)
        launched = server.launched_at("timed")
    told = next(it for it in lines if it.startswith("TOLD")).removeprefix("TOLD")
    whole, workers = json.loads(told)
    yield Row(f"{cloud}: Cluster() to first result, 3 VMs", whole, "s")
    for first, last, words in PHASES:
        seconds = [it[last] - it.get(first, launched) for it in workers]
        yield Row(f"  {words}", statistics.median(seconds), "s")

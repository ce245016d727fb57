"""What was computed can be looked at when its cluster is gone; of other people's clusters too."""

from __future__ import annotations

import json

import pytest

from tests.e2e.session import Session, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

OWN = """
    import dask
    import shoal

    # Dask takes a path with "pytest" in it for pytest's own code.
    dask.config.set({"distributed.diagnostics.computations.ignore-files": []})

    def invert(x):
        return 1 / x

    def halve(x):
        return x / 0

    if __name__ == "__main__":
        with shoal.Cluster("recorded", n_workers=1, worker_cpu=1) as cluster:
            with cluster.get_client() as client:
                client.gather(client.map(invert, range(1, 9)))
                try:
                    client.submit(halve, 3).result()
                except ZeroDivisionError:
                    print("RAISED")
                import time
                time.sleep(8)  # until the hosts have been sampled
                print("DETAILS", str(cluster.details()).replace("\\n", "|"))
"""

WATCHED = """
    import shoal
    from distributed import Client, LocalCluster

    def invert(x):
        return 1 / x

    if __name__ == "__main__":
        with (
            LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
            shoal.watch(client, "on-the-laptop") as watched,
        ):
            client.gather(client.map(invert, range(1, 9)))
            import time
            time.sleep(4)
            print("WATCHED", watched.id)
"""


def test_a_past_clusters_computations_and_failures_are_on_record(session: Session) -> None:
    lines = session.run(OWN)
    details = next(it for it in lines if it.startswith("DETAILS"))
    assert "halve: ZeroDivisionError: division by zero" in details
    ran = json.loads(session.shoal("history", "--cluster", "recorded", "--json").stdout)
    computations = [it["computation"] for it in ran["computations"]]
    assert [(it["tasks"], it["done"], it["erred"]) for it in computations] == [(1, 0, 1), (8, 8, 0)]
    [code] = computations[1]["code"]
    assert code["file"].endswith(".py")
    assert "client.map(invert, range(1, 9))" in code["code"]
    shown = json.loads(session.shoal("cluster", "show", "recorded", "--json").stdout)
    assert [it["type"] for it in shown["exceptions"]] == ["ZeroDivisionError"]
    top = json.loads(session.shoal("cluster", "top", "recorded", "--once", "--json").stdout)
    assert len(top["hosts"]) == 2
    assert all(it["memory_used_bytes"] > 1 << 20 for it in top["hosts"])
    assert top["sample"]["threads"] == 1


def test_a_cluster_that_shoal_did_not_start_is_on_record_too(session: Session) -> None:
    lines = session.run(WATCHED)
    [id] = [it.split()[1] for it in lines if it.startswith("WATCHED")]
    ran = json.loads(session.shoal("history", "--cluster", id, "--json").stdout)
    assert [it["computation"]["done"] for it in ran["computations"]] == [8]

    def status() -> str:
        shown = session.shoal("cluster", "show", id, "--json").stdout
        told: str = json.loads(shown)["cluster"]["status"]
        return told

    until(lambda: status() == "ended", 15, status)

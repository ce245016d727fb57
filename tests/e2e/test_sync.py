"""`Cluster.sync()` while a cluster runs; and what no VM can be is told before VM after VM fails."""

from __future__ import annotations

import json

import pytest

from tests.e2e.session import Session

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def test_sync_brings_new_code_and_keeps_what_was_computed(session: Session) -> None:
    (session.work / "reef.py").write_text("def species():\n    return 100\n")
    lines = session.run(
        """
        import pathlib, shoal

        def look():
            import reef
            return reef.species()

        if __name__ == "__main__":
            with shoal.Cluster("synced", n_workers=2, worker_cpu=1) as cluster:
                with cluster.get_client() as client:
                    client.wait_for_workers(2)
                    print("BEFORE", sorted(client.run(look).values()), flush=True)
                    kept = client.scatter(list(range(20)))
                    pathlib.Path("reef.py").write_text("def species():\\n    return 200\\n")
                    cluster.sync()
                    print("AFTER", sorted(client.run(look).values()), flush=True)
                    print("KEPT", client.gather(kept) == list(range(20)), flush=True)
        """,
        timeout_s=200,
    )
    assert "BEFORE [100, 100]" in lines
    assert "AFTER [200, 200]" in lines
    assert "KEPT True" in lines
    events = session.shoal("cluster", "events", "synced").stdout
    assert events.count("instance.environment") == 2


def test_a_worker_that_cannot_be_ends_the_creation_with_one_try(session: Session) -> None:
    script = session.start(
        """
        import shoal
        if __name__ == "__main__":
            try:
                shoal.Cluster("wrong", n_workers=2, worker_cpu=1, worker_class="no.Such")
            except shoal.errors.ClusterFailed as error:
                print("FAILED", " ".join(str(error).split()))
        """
    )
    told = script.says("FAILED")
    script.finish()
    assert "of 2 workers: The Dask worker cannot be made as asked: No module named 'no'" in told
    session.nothing_left()
    shown = json.loads(session.shoal("cluster", "show", "wrong", "--json").stdout)
    assert len(shown["instances"]) == 3  # a scheduler and two workers, none of them replaced

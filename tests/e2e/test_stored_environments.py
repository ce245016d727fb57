"""An environment that is kept under a name, and a cluster from it in another session."""

from __future__ import annotations

import importlib.metadata
import json

import pytest

from tests.e2e.session import Session

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def test_a_cluster_runs_in_an_environment_saved_from_a_file(session: Session) -> None:
    pins = [f"{it}=={importlib.metadata.version(it)}" for it in ("dask", "distributed")]
    file = session.work / "pins.in"
    file.write_text("\n".join([*pins, "six==1.16.0"]))
    session.shoal("env", "save", "pinned", "--software", str(file), timeout_s=150)
    lines = session.run(
        """
        import shoal

        def look():
            import importlib.util, six
            return six.__version__, importlib.util.find_spec("seaweed") is None

        if __name__ == "__main__":
            with shoal.Cluster("stored", software="pinned", n_workers=1, worker_cpu=1) as cluster:
                with cluster.get_client() as client:
                    print("FOUND", *client.submit(look).result())
        """,
        180,
    )
    assert "FOUND 1.16.0 True" in lines
    [kept] = json.loads(session.shoal("env", "list", "--json").stdout)["environments"]
    assert (kept["name"], kept["clusters"]) == ("pinned", 1)
    assert "six" in session.shoal("env", "show", "pinned").stdout
    session.shoal("env", "forget", "pinned")
    script = session.start("import shoal\nshoal.Cluster(software='pinned')\n")
    script.over()
    assert any("shoal env list" in line for line in script.lines), script.lines[-5:]

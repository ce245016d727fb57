"""What a user does first: a cluster on this machine, with their own environment on the workers."""

from __future__ import annotations

import json

import pytest

from tests.e2e.session import Session, until

JOB = """
    import shoal, tide

    def origins(_):
        import importlib.util, sys
        import seaweed, tide
        return (
            sys.prefix, seaweed.__file__, tide.__file__, seaweed.grow(1), tide.turn(3),
            importlib.util.find_spec("pandas") is None,
        )

    if __name__ == "__main__":
        with shoal.Cluster("first", n_workers=2, worker_cpu=1) as cluster:
            with cluster.get_client() as client:
                client.wait_for_workers(2)
                for told in client.gather(client.map(origins, range(4), pure=False)):
                    print("ORIGINS", *told, sep="|")
                import sys
                print("HERE", sys.prefix)
"""


@pytest.mark.long
def test_workers_have_the_users_environment_and_no_more(session: Session) -> None:
    (session.work / "tide.py").write_text("def turn(x):\n    return -x\n")
    lines = session.run(JOB)
    here = next(line for line in lines if line.startswith("HERE")).split()[1]
    told = [line.split("|")[1:] for line in lines if line.startswith("ORIGINS")]
    assert len(told) == 4
    for prefix, seaweed, tide, grown, turned, no_pandas in told:
        assert prefix != here
        assert seaweed.startswith(prefix)
        assert tide.startswith(prefix)
        assert (grown, turned, no_pandas) == ("2", "-3", "True")


@pytest.mark.long
def test_a_past_cluster_can_be_looked_at(session: Session) -> None:
    session.run(
        """
        import shoal
        def shout():
            print("a worker says hello")
        if __name__ == "__main__":
            with shoal.Cluster("past", n_workers=1, worker_cpu=1) as cluster:
                with cluster.get_client() as client:
                    client.submit(shout).result()
        """
    )
    session.nothing_left()
    shown = json.loads(session.shoal("cluster", "show", "past", "--json").stdout)
    assert '"ended"' in json.dumps(shown) or '"ending"' in json.dumps(shown)
    assert "a worker says hello" in session.shoal("cluster", "logs", "past").stdout
    wanted = ("cluster.created", "instance.launched", "cluster.ready", "instance.gone")

    def told() -> str:
        return session.shoal("cluster", "events", "past").stdout

    until(lambda: all(kind in told() for kind in wanted), 15, told)

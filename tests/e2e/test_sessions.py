"""Sessions and the server: started once, joined by name, ended when unused."""

from __future__ import annotations

import json
import subprocess

import pytest

from shoal.clouds import local_groups
from tests.e2e.session import Session

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def test_racing_starts_give_one_server(session: Session) -> None:
    session.shoal("server", "stop", check=False)
    starting = [
        subprocess.Popen(
            [session.python.parent / "shoal", "server", "start"],
            env=session.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(4)
    ]
    assert [it.wait(60) for it in starting] == [0, 0, 0, 0]
    pid = session.server_pid()
    session.shoal("server", "status")
    assert session.server_pid() == pid


def test_a_second_session_joins_by_name(session: Session) -> None:
    first = session.start(
        """
        import shoal, sys, time
        if __name__ == "__main__":
            with shoal.Cluster("shared", n_workers=1, worker_cpu=1) as cluster:
                print("UP", cluster.details_url, flush=True)
                time.sleep(30)
        """
    )
    url = first.says("UP").split()[1]
    told = session.run(
        """
        import shoal
        if __name__ == "__main__":
            with shoal.Cluster("shared") as cluster, cluster.get_client() as client:
                print("JOINED", cluster.details_url, client.submit(sum, [1, 2]).result())
        """
    )
    assert f"JOINED {url} 3" in told
    assert "ended" not in session.shoal("cluster", "show", "shared").stdout
    first.interrupt()
    first.over(30)


def test_a_detached_cluster_outlives_its_session_and_its_rules_say_so(session: Session) -> None:
    session.run(
        """
        import shoal
        if __name__ == "__main__":
            cluster = shoal.Cluster("left", n_workers=1, worker_cpu=1, shutdown_on_close=False)
        """,
        timeout_s=240,
    )
    shown = json.loads(session.shoal("cluster", "show", "left", "--json").stdout)["cluster"]
    assert shown["status"] in ("ready", "scaling")
    assert shown["spec"]["stop"]["no_client_timeout_s"] is None
    assert session.control_groups() or not local_groups.version()
    assert session.ports()
    session.shoal("cluster", "stop", "left")


def test_a_detached_cluster_with_a_rule_of_its_own_keeps_it(session: Session) -> None:
    session.run(
        """
        import shoal
        if __name__ == "__main__":
            shoal.Cluster("lent", n_workers=1, worker_cpu=1, shutdown_on_close=False,
                          no_client_timeout="2 s")
        """,
        timeout_s=240,
    )
    session.nothing_left(40)
    assert "client" in session.shoal("cluster", "show", "lent").stdout


def test_workers_come_and_go_as_asked(session: Session) -> None:
    session.run(
        """
        import shoal, time
        if __name__ == "__main__":
            with shoal.Cluster("scaled", n_workers=1, worker_cpu=1) as cluster:
                with cluster.get_client() as client:
                    kept = client.scatter(list(range(10)))
                    cluster.scale(3)
                    client.wait_for_workers(3)
                    cluster.scale(1)
                    deadline = time.monotonic() + 60
                    while len(client.scheduler_info()["workers"]) != 1:
                        assert time.monotonic() < deadline
                        time.sleep(0.1)
                    assert client.gather(kept) == list(range(10))
        """
    )
    assert "scaled" in session.shoal("cluster", "events", "scaled").stdout


def test_restart_gives_fresh_workers(session: Session) -> None:
    session.run(
        """
        import os, shoal
        if __name__ == "__main__":
            with shoal.Cluster("restarted", n_workers=2, worker_cpu=1) as cluster:
                with cluster.get_client() as client:
                    client.wait_for_workers(2)
                    before = set(client.run(os.getpid).values())
                    client.restart(timeout=60)
                    client.wait_for_workers(2)
                    assert not before & set(client.run(os.getpid).values())
        """
    )


def test_an_unused_server_ends_itself(session: Session) -> None:
    session.shoal("server", "stop", check=False)
    runtime = sorted((session.state / "runtime").glob("server-*"))[-1]
    process = subprocess.Popen(
        [runtime / "bin" / "python", "-I", "-m", "shoal.server", "--embedded",
         "--state-dir", str(session.state), "--idle-exit-s", "2"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.wait(30) == 0
    assert not (session.state / "server.json").exists()
    session.shoal("server", "start")


def test_mistakes_are_told_before_anything_exists(session: Session) -> None:
    for arguments, words in (
        ("n_workers=2, worker_cpu=1000", "No machine fits"),
        ("n_workers=-1", "n_workers"),
        ("n_wokers=2", "n_workers"),
        ("zone='mars'", "mars"),
        ("name='Bad Name'", "Bad Name"),
    ):
        script = session.start(f"import shoal\nshoal.Cluster({arguments})\n")
        script.over()
        assert any(words in line for line in script.lines), (arguments, script.lines[-5:])
    assert session.vm_directories() == []


def test_an_adaptive_cluster_grows_with_its_work(session: Session) -> None:
    session.run(
        """
        import shoal, time

        def slow(x):
            time.sleep(0.5)
            return x

        if __name__ == "__main__":
            with shoal.Cluster("adaptive", n_workers=[1, 3], worker_cpu=1) as cluster:
                with cluster.get_client() as client:
                    futures = client.map(slow, range(400))
                    client.wait_for_workers(3, timeout=60)
                    client.cancel(futures)
        """
    )
    assert "Dask" in session.shoal("cluster", "events", "adaptive").stdout

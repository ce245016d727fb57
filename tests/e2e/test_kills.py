"""kill -9 of each process in mid-computation: it finishes, or fails with a clear word."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.e2e.session import Script, Session, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

COMPUTING = """
    import time
    import shoal

    def slow(x):
        time.sleep(0.25)
        return x * x

    if __name__ == "__main__":
        with shoal.Cluster("computing", n_workers=2, worker_cpu=1) as cluster:
            with cluster.get_client() as client:
                client.wait_for_workers(2)
                futures = client.map(slow, range(60))
                print("COMPUTING", flush=True)
                try:
                    print("SUM", sum(client.gather(futures)), flush=True)
                except Exception as error:
                    print("FAILED", type(error).__name__, error, flush=True)
"""
RIGHT = f"SUM {sum(x * x for x in range(60))}"


def computing(session: Session) -> Script:
    script = session.start(COMPUTING)
    script.says("COMPUTING")
    return script


def test_it_finishes_when_a_dask_worker_is_killed(session: Session) -> None:
    script = computing(session)
    session.process(2, "worker").kill()
    script.says(RIGHT)
    script.finish()


def test_it_finishes_when_a_workers_agent_is_killed_and_the_vm_is_replaced(
    session: Session,
) -> None:
    script = computing(session)
    session.process(3, "agent").kill()
    script.says(RIGHT)
    script.finish()
    events = session.shoal("cluster", "events", "computing").stdout
    assert "ended by itself" in events


def test_it_finishes_when_the_server_is_killed(session: Session) -> None:
    script = computing(session)
    os.kill(session.server_pid(), signal.SIGKILL)
    script.says(RIGHT)
    script.finish()


def test_it_fails_with_a_word_when_the_head_is_killed(session: Session) -> None:
    """With the reason of the loss, wherever one looks, and for whatever is tried next."""
    script = session.start(
        """
        import time
        import shoal

        if __name__ == "__main__":
            cluster = shoal.Cluster("beheaded", n_workers=2, worker_cpu=1)
            client = cluster.get_client()
            future = client.submit(time.sleep, 60)
            print("COMPUTING", flush=True)
            try:
                future.result()
            except Exception as error:
                print("LOST", type(error).__name__, flush=True)
            try:
                client.submit(sum, [1, 2]).result()
            except Exception as error:
                print("CLIENT", " ".join(str(error).split()), flush=True)
            try:
                cluster.scale(3)
            except shoal.errors.ClusterFailed as error:
                print("SCALE", " ".join(str(error).split()), flush=True)
            print("IT IS", cluster, flush=True)
            cluster.close()
        """
    )
    script.says("COMPUTING")
    session.process(1, "agent").kill()
    lines = script.finish()
    why = "the scheduler's VM was lost, and with it what was computed: the cloud does not have it"
    for beginning in ("CLIENT", "SCALE", "IT IS"):
        [line] = [it for it in lines if it.startswith(beginning)]
        assert why in line, line
    [scale] = [it for it in lines if it.startswith("SCALE")]
    assert "shoal cluster logs" in scale
    shown = session.shoal("cluster", "show", "beheaded").stdout
    assert why in " ".join(shown.split())
    assert "accepted as" not in shown.partition("VM ")[0]
    session.nothing_left()


def test_nothing_stays_when_the_client_is_killed(session: Session) -> None:
    script = session.start(
        """
        import time
        import shoal
        if __name__ == "__main__":
            cluster = shoal.Cluster("orphan", n_workers=1, worker_cpu=1, no_client_timeout="2 s")
            client = cluster.get_client()
            client.wait_for_workers(1)
            print("UP", flush=True)
            time.sleep(600)
        """
    )
    script.says("UP")
    script.kill()
    session.nothing_left(30)
    assert "client" in session.shoal("cluster", "show", "orphan").stdout


def test_stop_rules_hold_without_the_server_and_the_client(session: Session) -> None:
    script = session.start(
        """
        import time
        import shoal
        if __name__ == "__main__":
            cluster = shoal.Cluster("alone", n_workers=1, worker_cpu=1, no_client_timeout="2 s")
            client = cluster.get_client()
            client.wait_for_workers(1)
            print("UP", flush=True)
            time.sleep(600)
        """
    )
    script.says("UP")
    os.kill(session.server_pid(), signal.SIGKILL)
    script.kill()
    until(lambda: not session.processes(), 30, session.left)
    session.shoal("server", "start")
    session.nothing_left()


@pytest.mark.parametrize(
    "moment",
    ["Server: running", "Environment: scanning", "Workers: 0 of", "Scheduler: booting",
     "Scheduler: ready"],
)  # fmt: skip
def test_ctrl_c_at_any_moment_of_its_start_leaves_nothing(session: Session, moment: str) -> None:
    script = session.start(
        """
        import time
        import shoal
        if __name__ == "__main__":
            shoal.Cluster("interrupted", n_workers=2, worker_cpu=1)
            time.sleep(60)
        """
    )
    script.says(moment, 240)
    script.interrupt()
    assert script.over(60) != 0
    assert script.lines[-1] == "KeyboardInterrupt", "\n".join(script.lines)
    assert sum("Traceback" in line for line in script.lines) == 1
    listed = json.loads(session.shoal("cluster", "list", "--json").stdout)["clusters"]
    assert all(it["status"] not in ("starting", "scaling", "ready") for it in listed)
    session.nothing_left(40)


def test_a_client_that_is_stopped_for_a_while_finds_its_results(session: Session) -> None:
    """A laptop that was closed: the computation goes on without it."""
    script = session.start(COMPUTING.replace('"computing"', '"paused"'))
    script.says("COMPUTING", 240)
    script.process.send_signal(signal.SIGSTOP)

    def computed() -> bool:
        ran = session.shoal("history", "--cluster", "paused", "--json").stdout
        return any(it["computation"]["done"] == 60 for it in json.loads(ran)["computations"])

    until(computed, 90)
    assert not any("SUM" in line for line in script.lines)
    script.process.send_signal(signal.SIGCONT)
    script.says(RIGHT)
    script.finish()

"""`shoal.Cluster` on this machine, with a real server, real agents and real Dask."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import dask
import httpx2
import pytest
from distributed import CancelledError, Client
from distributed.core import Status

import shoal
from shoal.client import embedded
from shoal.client.adaptivity import Adaptivity
from shoal.errors import ClusterFailed, InvalidRequest
from shoal.wire.state_directory import StateDirectory, state_directory
from shoal.wire.views import ClusterStatus

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(120),
    # Dask's own, when the process that runs its event loop is busy
    pytest.mark.filterwarnings("ignore::ResourceWarning:distributed"),
]

QUIET = {"show_widget": False, "worker_memory": "1 GiB"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server of its own, which runs in the environment of the tests."""
    root = tmp_path_factory.mktemp("shoal")
    (root / "work").mkdir()
    (root / "work" / "loose.py").write_text("def where():\n    return __file__\n")
    variables = {
        "SHOAL_STATE_DIR": str(root / "state"),
        "SHOAL_CONFIG_DIR": str(root / "config"),
        "SHOAL_RUNTIME_SERVER_PYTHON": sys.executable,
        "SHOAL_RUNTIME_AGENT_PYTHON": sys.executable,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.chdir(root / "work")
        with dask.config.set({"shoal.server": "embedded"}):
            yield {**os.environ, **variables}
        embedded.stop(state_directory())


@pytest.fixture(autouse=True)
def _own_directories(place: dict[str, str]) -> None:
    """Here the module's, not the test's."""


@pytest.fixture
def state(place: dict[str, str]) -> StateDirectory:
    return state_directory()


@pytest.fixture(scope="module")
def cluster(place: dict[str, str]) -> Iterator[shoal.Cluster]:
    with shoal.Cluster("shared", n_workers=2, wait_for_workers=True, **QUIET) as it:
        yield it


def running(place: dict[str, str]) -> list[str]:
    """The names of clusters that somebody wants."""
    line = [sys.executable, "-m", "shoal.cli", "cluster", "list", "--json"]
    told = subprocess.run(line, env=place, capture_output=True, text=True, check=True)
    over = (ClusterStatus.ENDING, ClusterStatus.ENDED, ClusterStatus.FAILED)
    return [it["name"] for it in json.loads(told.stdout)["clusters"] if it["status"] not in over]


def test_dask_takes_it_as_a_cluster(cluster: shoal.Cluster) -> None:
    with Client(cluster) as client:
        assert client.submit(sum, [1, 2, 3]).result() == 6
        assert client.scheduler_info()["address"] == cluster.scheduler_address
        assert cluster.get_client() is client
    assert cluster.scheduler_address.startswith("tls://")


def test_a_loose_module_is_imported_from_the_workers_own_prefix(cluster: shoal.Cluster) -> None:
    def look() -> tuple[str, str]:
        import loose  # type: ignore[import-not-found]

        return loose.where(), sys.prefix

    with Client(cluster) as client:
        found = client.run(look)
    assert len({prefix for _, prefix in found.values()}) == 2
    for file, prefix in found.values():
        assert file.startswith(prefix)
        assert prefix != sys.prefix


def test_it_tells_what_it_is(cluster: shoal.Cluster) -> None:
    assert "workers=2" in repr(cluster)
    assert "shared" in cluster._repr_html_()
    assert cluster.id in cluster.details_url
    logs = cluster.get_logs()
    assert {"Cluster", "Scheduler", *cluster.scheduler_info["workers"]} <= set(logs)
    assert "cluster.ready" in logs["Cluster"]
    assert list(cluster.get_logs(cluster=False, workers=False)) == ["Scheduler"]
    assert len(cluster.cost().lines) >= 3
    assert cluster.explain().cluster == cluster.id
    assert cluster.events()[0].kind == "cluster.created"


def test_its_dashboard_is_reached_through_the_server_with_a_login(
    cluster: shoal.Cluster, state: StateDirectory
) -> None:
    with Client(cluster) as client:
        assert client.dashboard_link == cluster.dashboard_link
        shown = client._repr_html_() + cluster._repr_html_()
    assert f'href="{cluster.dashboard_link}"' in shown
    assert f'href="{cluster.details_url}/vms"' in shown
    assert ":8787" not in shown
    with httpx2.Client(follow_redirects=True, trust_env=False) as browser:
        asked = browser.get(cluster.dashboard_link)
        assert asked.url.path == "/login"
        fields = {"next": asked.url.params["next"], "token": state.token_file.read_text()}
        page = browser.post(asked.url.copy_with(query=None), data=fields)
    assert page.status_code == 200
    assert page.url.path.endswith("/status")
    assert "Dask" in page.text  # without bokeh it says that it needs it


def test_one_that_others_end_says_why_to_whoever_uses_it_next(
    place: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    cluster = shoal.Cluster("ended", n_workers=1, **QUIET)
    client = cluster.get_client()
    future = client.submit(time.sleep, 60)
    line = [sys.executable, "-m", "shoal.cli", "cluster", "stop", "ended"]
    subprocess.run(line, env=place, capture_output=True, check=True)
    until(lambda: cluster.status == Status.closed and client.status == "closed")
    assert "shoal cluster stop" in caplog.text
    assert "has ended: shoal cluster stop" in repr(cluster)
    with pytest.raises(CancelledError):
        future.result()
    for use in (
        cluster.get_client,
        lambda: cluster.scale(2),
        lambda: cluster.adapt(minimum=1),
        lambda: cluster.wait_for_workers(1),
        cluster.sync,
        lambda: client.submit(sum, [1]),
    ):
        with pytest.raises(ClusterFailed, match="has ended: shoal cluster stop"):
            use()
    with pytest.raises(RuntimeError, match="has ended: shoal cluster stop"):
        Client(cluster)
    assert cluster.events()[-1].seq  # its record can still be looked at
    cluster.close()


def test_two_sessions_of_one_cluster_both_see_its_workers(cluster: shoal.Cluster) -> None:
    with shoal.Cluster("shared", **QUIET) as joined:
        joined.scale(1)
        until(lambda: len(joined.scheduler_info["workers"]) == 1)
        until(lambda: len(cluster.scheduler_info["workers"]) == 1)
        joined.scale(2)
        until(lambda: len(joined.scheduler_info["workers"]) == 2)
        until(lambda: len(cluster.scheduler_info["workers"]) == 2)


def test_the_same_name_joins_and_leaving_leaves_it_running(cluster: shoal.Cluster) -> None:
    with shoal.Cluster("shared", n_workers=7, **QUIET) as joined:
        assert joined.id == cluster.id
        assert not joined.shutdown_on_close
        assert len(joined.scheduler_info["workers"]) == 2
    with Client(cluster) as client:
        assert client.submit(sum, [1]).result() == 1


def test_it_scales_down_and_up_again(cluster: shoal.Cluster) -> None:
    cluster.scale(1)
    until(lambda: len(cluster.scheduler_info["workers"]) == 1)
    cluster.scale(2)
    cluster.wait_for_workers(2, timeout=60)
    assert cluster.wanted == 2


def test_adapting_is_done_elsewhere_and_can_be_ended(cluster: shoal.Cluster) -> None:
    bounds = cluster.adapt(minimum=2, maximum=3)
    assert isinstance(bounds, Adaptivity)
    assert "Adaptive, 2 to 3" in cluster._scaling_status()
    bounds.stop()
    assert "Manual" in cluster._scaling_status()
    with pytest.raises(InvalidRequest, match="interval"):
        cluster.adapt(interval="1 s")


def test_it_works_in_an_event_loop(place: dict[str, str]) -> None:
    async def work() -> int:
        async with (
            shoal.Cluster(n_workers=1, asynchronous=True, **QUIET) as it,
            Client(it, asynchronous=True) as client,
        ):
            await it.scale(2)
            assert it.wanted == 2
            answer: int = await client.submit(sum, [1, 2])
        return answer

    before = running(place)
    assert asyncio.run(work()) == 3
    assert running(place) == before


def test_bad_arguments_create_nothing(place: dict[str, str]) -> None:
    before = running(place)
    with pytest.raises(InvalidRequest, match="no file"):
        shoal.Cluster(software="./nothing.txt", **QUIET)
    with pytest.raises(InvalidRequest, match="Nearest"):
        shoal.Cluster(worker_cpu=1000, **QUIET)
    assert running(place) == before


def test_a_cluster_that_takes_too_long_is_given_up(place: dict[str, str]) -> None:
    before = running(place)
    with pytest.raises(ClusterFailed, match=r"did not come up within 0\.2 s"):
        shoal.Cluster("slow", n_workers=1, timeout="200 ms", **QUIET)
    assert running(place) == before


SESSION = """
import sys, time
import distributed, shoal
print("begun", flush=True)
cluster = shoal.Cluster({name!r}, n_workers=1, worker_memory="1 GiB", show_widget=False{more})
print("up", flush=True)
{then}
"""


@pytest.fixture
def session(place: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(name: str, then: str = "", more: str = "") -> subprocess.Popen[str]:
        code = SESSION.format(name=name, then=then, more=more)
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=place, stdout=pipe, stderr=pipe, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("after_s", [0.05, 0.3, 1.0])
def test_ctrl_c_while_it_comes_up_leaves_no_cluster_and_one_word(
    place: dict[str, str], session: Callable[..., subprocess.Popen[str]], after_s: float
) -> None:
    process = session("interrupted", then="time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(after_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert err.count("Traceback") == 1
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert "interrupted" not in running(place)


def test_the_end_of_the_session_ends_its_cluster(
    place: dict[str, str], session: Callable[..., subprocess.Popen[str]]
) -> None:
    out, err = session("left-open").communicate(timeout=60)
    assert (out, err) == ("up\n", "")
    assert "left-open" not in running(place)


def test_a_cluster_may_outlive_its_session(
    place: dict[str, str], session: Callable[..., subprocess.Popen[str]], state: StateDirectory
) -> None:
    session("kept", more=", shutdown_on_close=False").communicate(timeout=60)
    assert "kept" in running(place)
    with shoal.Cluster("kept", shutdown_on_close=True, **QUIET) as again:
        assert again.get_client().submit(sum, [1, 2]).result() == 3
    assert "kept" not in running(place)


def test_closing_finds_a_server_that_was_killed_meanwhile(
    place: dict[str, str], state: StateDirectory
) -> None:
    cluster = shoal.Cluster("bereft", n_workers=1, **QUIET)
    killed = embedded.read(state)
    assert killed is not None
    os.kill(killed.pid, signal.SIGKILL)
    with Client(cluster) as client:
        assert client.submit(sum, [1, 2]).result() == 3
    cluster.close()
    assert "bereft" not in running(place)
    again = embedded.read(state)
    assert again is not None
    assert again.pid != killed.pid


def until(so: Callable[[], bool]) -> None:
    """Wait for other processes; the test's own timeout ends it."""
    while not so():
        time.sleep(0.05)

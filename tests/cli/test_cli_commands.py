"""The `shoal` command: data to stdout, the rest to stderr, no traceback for a mistake."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import click
import pytest
from fake_server import CLUSTER, NOW, Call, FakeServer, event, view
from running import Shoal
from starlette.responses import Response

from shoal.cli.main import COMMANDS, cli
from shoal.client import login
from shoal.errors import NotFound
from shoal.wire import endpoints
from shoal.wire.endpoints import EventPage
from shoal.wire.events import EventKind
from shoal.wire.ids import InstallationId, InstanceId, UserName, WorkspaceName
from shoal.wire.specs import Role
from shoal.wire.telemetry import (
    CodeFrame,
    Computation,
    ComputationList,
    ComputationView,
    ExceptionList,
    HostList,
    HostSample,
    Loss,
    SchedulerSample,
    SchedulerSeries,
    Severity,
    ShuffleEvent,
    ShuffleList,
    Signal,
    SignalKind,
    SignalList,
    SignalView,
    TaskException,
    Telemetry,
    WorkerEvent,
    WorkerEventList,
)
from shoal.wire.views import (
    ClusterList,
    ClusterStatus,
    CostLine,
    CostView,
    Ended,
    Explanation,
    InstanceList,
    LogLine,
    LogPage,
    NewToken,
    OfferList,
    OfferView,
    PlannedAction,
    ServerInfo,
    TokenView,
)

INFO = ServerInfo(
    version="0.1.0",
    installation=InstallationId("i-aaaaaaaaaa"),
    database="sqlite",
    embedded=False,
    clusters=1,
    pid=1,
    started_at=NOW,
    user=UserName("ada"),
    workspace=WorkspaceName("research"),
)
WORKER = InstanceId("shoal-c-aaaaaaaaaa-1")


CODE = CodeFrame("/home/ada/etl.py", 12, "def main():\n    frame.mean().compute()\n", 11)
COMPUTATION = Computation("k-1", NOW, NOW, (CODE,), tasks=1200, done=1199, erred=1)
EXCEPTION = TaskException("e", "k-1", NOW, NOW, 3, "ValueError", "no", "…", "f-1", "f", WORKER)
SIGNAL = SignalView(
    CLUSTER,
    Signal(
        SignalKind.SPILLING, Severity.WARNING, "Workers are spilling to disk", "1 worker of 1 has.",
        'Use worker_memory="16 GiB".', "worker_memory", NOW, NOW, saves="$1 an hour.",
    ),
    NOW,
    NOW,
    active=True,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _answers(server: FakeServer) -> None:
    tokens = TokenView("t-1", UserName("ada"), WorkspaceName("research"), ("clusters",), NOW, None)
    line = LogLine(NOW, WORKER, "worker", "Hello from the worker")
    offer = OfferView(
        "local", "here", "here", "local-1", 1, 1 << 30, "x86_64", False, 0, "", 0, None
    )
    answers = {
        endpoints.SERVER: INFO,
        endpoints.CLUSTERS: ClusterList((view(ClusterStatus.READY, price_uusd_per_hour=340_000),)),
        endpoints.CLUSTER: view(ClusterStatus.READY),
        endpoints.INSTANCES: InstanceList(()),
        endpoints.STOP_CLUSTER: Ended(CLUSTER, already=False),
        endpoints.EXPLAIN: Explanation(
            CLUSTER, "All is well", (PlannedAction("Launch", "b", "why"),)
        ),
        endpoints.COST: CostView(CLUSTER, 5000, (CostLine(WORKER, Role.WORKER, "l", 61.0, 5000),)),
        endpoints.TOKENS: endpoints.TokenList((tokens,)),
        endpoints.CREATE_TOKEN: NewToken(tokens, "shoal_new"),
        endpoints.REVOKE_TOKEN: endpoints.Nothing(),
        endpoints.OFFERS: OfferList((offer,)),
        endpoints.SIGNALS: SignalList((SIGNAL,)),
        endpoints.COMPUTATIONS: ComputationList((ComputationView(CLUSTER, COMPUTATION),)),
        endpoints.EXCEPTIONS: ExceptionList((EXCEPTION,)),
        endpoints.WORKER_EVENTS: WorkerEventList(()),
        endpoints.SHUFFLES: ShuffleList(()),
        endpoints.TELEMETRY: Telemetry(1, 1, 9, 9, 0, 0),
        endpoints.METRICS: SchedulerSeries(0, (SchedulerSample(NOW, threads=4, executing=3),)),
        endpoints.HOSTS: HostList((HostSample(NOW, WORKER, cpu_user_percent=41.0),)),
    }
    for endpoint, answer in answers.items():
        server.on(endpoint, lambda call, answer=answer: answer)
    server.on(
        endpoints.LOGS, lambda call: LogPage((line,) if call.query["cursor"] == "0" else (), 1)
    )
    happened = (event(EventKind.CLUSTER_CREATED, 1, why="ada asked for 2 workers"),)
    server.on(
        endpoints.EVENTS, lambda call: EventPage(happened if call.query["after"] == "0" else (), 1)
    )


PRINTS_DATA = [
    ("cluster", "list"),
    ("cluster", "show", "mine"),
    ("cluster", "top", "mine", "--once"),
    ("cluster", "stop", "mine"),
    ("cluster", "explain", "mine"),
    ("cluster", "logs", "mine"),
    ("cluster", "events", "mine"),
    ("cost", "mine"),
    ("history",),
    ("offers",),
    ("token", "list"),
    ("token", "create", "ada"),
    ("token", "revoke", "t-1"),
    ("server", "status"),
    ("env", "scan"),
]


@pytest.mark.parametrize("command", PRINTS_DATA, ids=" ".join)
def test_what_prints_data_prints_json_and_nothing_else(
    shoal: Shoal, command: tuple[str, ...]
) -> None:
    ran = shoal(*command, "--json")
    assert ran.status == 0
    assert isinstance(json.loads(ran.out), dict)
    assert ran.err == ""


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("cluster", "list"), "mine  c-aaaaaaaaaa  ready   0/2      local  $0.34"),
        (("cluster", "show", "mine"), "status       ready: it is ready"),
        (("cluster", "show", "mine"), "WARNING: Workers are spilling to disk\n  1 worker of 1"),
        (("cluster", "show", "mine"), "1,199 of 1,200 tasks, 0.0 s, 1 failed  etl.py:12  frame."),
        (("cluster", "show", "mine"), "f ×3: ValueError: no"),
        (("cluster", "top", "mine", "--once"), "3 tasks run on 4 threads"),
        (("cluster", "top", "mine", "--once"), "shoal-c-aaaaaaaaaa-1  41 %"),
        (("history", "--since", "30d"), "1,199/1,200  1       0.0 s  etl.py:12  frame.mean()"),
        (("cluster", "explain", "mine"), "All is well"),
        (
            ("cluster", "logs", "mine"),
            "03:04:05 shoal-c-aaaaaaaaaa-1 worker: Hello from the worker",
        ),
        (("cluster", "events", "mine"), "reconciler: ada asked for 2 workers"),
        (("cost", "mine"), "1 min 1 s  $0.0050"),
        (("offers",), "local-1       1     1.0 GiB"),
        (("token", "list"), "t-1  ada   research"),
        (("token", "create", "ada"), "shoal_new"),
        (("server", "status"), "ada in workspace research"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else "",
)
def test_people_get_columns(shoal: Shoal, command: tuple[str, ...], told: str) -> None:
    ran = shoal(*command)
    assert ran.status == 0
    assert told in ran.out
    assert "\x1b" not in ran.out


def test_events_tell_of_workers_and_shuffles_in_the_order_of_time(
    shoal: Shoal, server: FakeServer
) -> None:
    lost = WorkerEvent(
        NOW + timedelta(seconds=5), WORKER, "tls://h:1", False, Loss.MEMORY, "9 GiB", tasks_lost=7
    )
    began = ShuffleEvent(NOW - timedelta(seconds=5), "s-1", 2, "restarted")
    server.on(endpoints.WORKER_EVENTS, lambda call: WorkerEventList((lost,)))
    server.on(endpoints.SHUFFLES, lambda call: ShuffleList((began,)))
    first, second, third = shoal("cluster", "events", "mine").out.splitlines()
    assert "shuffle restarted, run 2  s-1" in first
    assert "ada asked for 2 workers" in second
    assert f"worker lost (killed-for-memory)  {WORKER}  9 GiB; 7 results" in third
    told = [json.loads(it) for it in shoal("cluster", "events", "mine", "--json").out.splitlines()]
    assert [it.get("item") for it in told] == ["shuffle", None, "worker"]


def test_what_the_record_lacks_is_said(shoal: Shoal, server: FakeServer) -> None:
    server.on(endpoints.TELEMETRY, lambda call: Telemetry(1, 1, 9, 9, dropped=1234, logs_dropped=2))
    ran = shoal("cluster", "show", "mine")
    assert "The record lacks 1,234 items and 2 lines" in ran.err
    assert json.loads(shoal("cluster", "show", "mine", "--json").out)["record"]["dropped"] == 1234


def test_a_mistake_is_a_sentence_and_a_next_step_on_stderr(
    shoal: Shoal, server: FakeServer
) -> None:
    def missing(call: object) -> object:
        raise NotFound("There is no cluster 'nine'.", hint="Look with: shoal cluster list")

    server.on(endpoints.CLUSTER, missing)
    ran = shoal("cluster", "show", "nine")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "Error: There is no cluster 'nine'.\nLook with: shoal cluster list\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("clster",), "Did you mean cluster"),
        (("cluster", "stop"), "Name the clusters to stop, or say --all"),
        (("cluster", "stop", "a", "--all"), "Name the clusters to stop, or say --all"),
        (("server", "start", "--database", "sqlite://"), "needs --listen"),
        (("login",), "Which server"),
        (("login", "ftp://x", "--token", "t"), "not the address of a server"),
        (("cluster", "list", "--limit", "0"), "--limit"),
    ],
)
def test_what_cannot_be_asked_is_status_2(
    shoal: Shoal, arguments: tuple[str, ...], told: str
) -> None:
    ran = shoal(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert told in ran.err


def test_all_running_clusters_are_stopped_one_by_one(shoal: Shoal, server: FakeServer) -> None:
    pages = [ClusterList((view(),), next_page="more"), ClusterList((view(),))]
    server.on(endpoints.CLUSTERS, lambda call: pages.pop(0))
    assert shoal("cluster", "stop", "--all").status == 0
    assert len(server.asked(endpoints.STOP_CLUSTER)) == 2


def test_of_a_team_s_clusters_all_are_one_s_own_unless_it_is_said_otherwise(
    shoal: Shoal, server: FakeServer
) -> None:
    server.on(endpoints.CLUSTERS, lambda call: ClusterList((view(),)))
    assert shoal("cluster", "stop", "--all").status == 0
    assert shoal("cluster", "stop", "--all", "--everybody").status == 0
    own, everybodys = (it.query for it in server.asked(endpoints.CLUSTERS))
    assert own["owner"] == "ada"
    assert "owner" not in everybodys


def test_one_that_cannot_be_stopped_keeps_no_other_from_it(
    shoal: Shoal, server: FakeServer
) -> None:
    def stop(call: Call) -> Ended:
        if call.path["cluster"] == "nope":
            raise NotFound("There is no cluster 'nope'.", hint="shoal cluster list")
        return Ended(CLUSTER, already=False)

    server.on(endpoints.STOP_CLUSTER, stop)
    ran = shoal("cluster", "stop", "mine", "nope", "yours")
    assert ran.status == 1
    assert ran.err.count("is ending") == 2
    assert "There is no cluster 'nope'." in ran.err


def test_stopping_may_wait_until_the_last_vm_is_gone(shoal: Shoal, server: FakeServer) -> None:
    server.on(endpoints.CLUSTER, lambda call: view(ClusterStatus.ENDING, event_seq=3))
    server.on(endpoints.CHANGES, lambda call: [event(EventKind.CLUSTER_ENDED, 4)])
    assert shoal("cluster", "stop", "mine", "--wait").status == 0
    assert server.asked(endpoints.CHANGES)[0].query["after"] == "3"


def test_a_login_is_kept_only_if_the_server_knows_the_token(
    shoal: Shoal, server: FakeServer
) -> None:
    import dask

    from shoal.errors import NotLoggedIn

    url = dask.config.get("shoal.server")

    def unknown(call: object) -> object:
        raise NotLoggedIn("This API token is not known.")

    server.on(endpoints.SERVER, unknown)
    assert shoal("login", url, "--token", _token()).status == 1
    assert login.read(login.file()) is None
    server.on(endpoints.SERVER, lambda call: INFO)
    ran = shoal("login", url, "--token", _token())
    assert (ran.status, ran.err) == (0, f"Logged in to {url} as ada in workspace research.\n")
    assert login.read(login.file()) == login.Login(url, _token())
    assert _token() not in ran.err


def _token() -> str:
    from fake_server import TOKEN

    return TOKEN


def test_something_else_at_the_address_is_not_a_traceback(shoal: Shoal, server: FakeServer) -> None:
    server.on(endpoints.CLUSTERS, lambda call: Response("hello", 500))
    ran = shoal("cluster", "list")
    assert ran.status == 1
    assert "answered 500" in ran.err


def test_status_starts_no_server(shoal: Shoal) -> None:
    import dask

    with dask.config.set({"shoal.server": "embedded"}):
        ran = shoal("server", "status", "--json")
        assert json.loads(ran.out)["running"] is False
        assert shoal("server", "stop").err == "No server was running.\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shoal: Shoal, shell: str) -> None:
    assert "_SHOAL_COMPLETE" in shoal("completion", shell).out


def _leaves(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    found = []
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        found += _leaves(inner, (*path, name))
    return found


@pytest.mark.parametrize("command", _leaves(cli, ()), ids=" ".join)
def test_help_shows_an_example(shoal: Shoal, command: tuple[str, ...]) -> None:
    ran = shoal(*command, "--help")
    assert ran.status == 0
    assert "Example" in ran.out
    assert f"shoal {command[0]}" in ran.out


def test_the_table_of_commands_says_of_each_what_it_is(shoal: Shoal) -> None:
    ran = shoal("--help")
    for name, lazy in COMMANDS.items():
        assert name in ran.out
        assert lazy.summary.split()[0] in ran.out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from shoal.cli.main import run; run(['--help']); "
        "heavy = {'distributed', 'dask', 'rich', 'httpx2', 'asyncio'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert told.stdout.splitlines()[-1] == "[]"


def test_interrupted_is_130(shoal: Shoal, server: FakeServer) -> None:
    def interrupt(call: object) -> object:
        # To the thread that waits for the answer, so that its wait ends at once.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        interrupted.wait(10)
        return ClusterList(())

    interrupted = threading.Event()
    server.on(endpoints.CLUSTERS, interrupt)
    ran = shoal("cluster", "list")
    interrupted.set()
    assert (ran.status, ran.out) == (130, "")
    assert "Traceback" not in ran.err


def test_logs_are_searched_in_any_case_and_by_time(shoal: Shoal, server: FakeServer) -> None:
    assert shoal("cluster", "logs", "mine", "--text", "error", "-i", "--since", "1h").status == 0
    asked = next(it.query for it in server.calls if it.endpoint == endpoints.LOGS.name)
    assert (asked["text"], asked["any_case"]) == ("error", "true")
    assert "since" in asked


def test_a_time_that_is_none_is_a_mistake_in_words(shoal: Shoal) -> None:
    ran = shoal("history", "--since", "yesterday")
    assert ran.status == 2
    assert "give 90m, 12h, 30d or 2026-11-23" in ran.err


def test_a_login_tells_programs_who_one_is_and_never_the_token(shoal: Shoal) -> None:
    import dask

    url = dask.config.get("shoal.server")
    told = json.loads(shoal("login", url, "--token", _token(), "--json").out)
    assert (told["logged_in"], told["info"]["user"]) == (True, "ada")
    assert _token() not in json.dumps(told)
    assert json.loads(shoal("login", "--logout", "--json").out) == {
        "logged_in": False,
        "url": "",
        "info": None,
    }

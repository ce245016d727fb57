"""What is shown while a cluster comes up: one source of values, three renderings."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import count

import pytest
from fake_server import NOW, event, view

from shoal.client import progress
from shoal.client.progress import PlainLines, Progress, Rendering, Snapshot, State, StepName
from shoal.wire.events import EventKind
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Role
from shoal.wire.views import ClusterStatus, InstanceState, InstanceView, Stage, WorkerCounts


def ticking() -> Callable[[], float]:
    seconds = count()
    return lambda: float(next(seconds))


def told(rendering: Rendering) -> Progress:
    """A cluster that comes up, as creation.py tells it."""
    it = Progress("mine", rendering, clock=ticking())
    it.running(StepName.SERVER)
    it.done(StepName.SERVER, "http://127.0.0.1:1")
    it.running(StepName.ENVIRONMENT, "scanning what is installed here")
    it.done(StepName.ENVIRONMENT, "40 packages")
    it.cluster(counts(launching=2))
    it.instances(machines())
    it.event(stage("shoal-c-0", Stage.PREPARING))
    it.event(stage("shoal-c-1", Stage.PREPARING))
    it.event(event(EventKind.CLUSTER_READY, 9))
    it.cluster(counts(preparing=1, ready=1))
    it.cluster(counts(ready=2, status=ClusterStatus.READY))
    return it


def counts(
    *, launching: int = 0, preparing: int = 0, ready: int = 0, status: ClusterStatus | None = None
) -> progress.ClusterView:
    numbers = WorkerCounts(2, launching, preparing, ready, draining=0)
    return view(
        status or ClusterStatus.SCALING, workers=numbers, price_uusd_per_hour=340_000, sentence=""
    )


def machines() -> tuple[InstanceView, ...]:
    def one(number: int, role: Role) -> InstanceView:
        return InstanceView(
            id=InstanceId(f"shoal-c-{number}"),
            role=role,
            state=InstanceState.LAUNCHED,
            stage=Stage.BOOTING,
            since=NOW,
            why="asked for",
            zone="us-east-1b",
            machine_type="m7i.large",
            spot=role is Role.WORKER,
        )

    return one(0, Role.SCHEDULER), one(1, Role.WORKER), one(2, Role.WORKER)


def stage(instance: str, at: Stage) -> progress.Event:
    return event(EventKind.INSTANCE_STAGE, 5, instance=InstanceId(instance), after=str(at))


def test_plain_lines_tell_each_step_once_and_workers_as_they_come() -> None:
    out = io.StringIO()
    told(PlainLines(out)).close()
    assert [line.split(" (")[0] for line in out.getvalue().splitlines()] == [
        "mine: Server: running",
        "mine: Server: http://127.0.0.1:1",
        "mine: Environment: scanning what is installed here",
        "mine: Environment: 40 packages",
        "mine: Workers: 0 of 2 ready, 2 launching",
        "mine: Scheduler: booting",
        "mine: Scheduler: preparing",
        "mine: Scheduler: ready",
        "mine: Workers: 1 of 2 ready, 1 preparing",
        "mine: Workers: 2 of 2 ready",
        "mine: ready",
    ]


def test_the_summary_tells_machines_zone_and_price() -> None:
    snapshot = told(progress.Silent()).snapshot
    assert progress.summary(snapshot).startswith(
        "2 × m7i.large in us-east-1b, spot, 1 × m7i.large in us-east-1b, $0.34 an hour, "
    )


def test_html_shows_every_step_and_escapes_what_it_is_given() -> None:
    it = told(progress.Silent())
    it.cluster(view(sentence="<script>no</script>", details_url="http://x/?a='b'"))
    html = progress.html(it.snapshot)
    assert html.count("<tr>") == len(StepName)
    assert "<script>" not in html
    assert "a='b'" not in html


def test_a_terminal_gets_the_same_steps() -> None:
    out = io.StringIO()
    told(progress.Terminal(out)).close()
    text = out.getvalue()
    for part in ("mine", "✓ Server", "✓ Environment", "✓ Scheduler", "✓ Workers", "$0.34 an hour"):
        assert part in text


def test_a_failure_marks_the_steps_that_were_under_way() -> None:
    last: list[Snapshot] = []

    class Last(progress.Silent):
        def close(self, snapshot: Snapshot) -> None:
            last.append(snapshot)

    it = Progress("mine", Last(), clock=ticking())
    it.done(StepName.SERVER)
    it.running(StepName.ENVIRONMENT, "building")
    it.close(failed=True)
    states = [step.state for step in last[0].steps]
    assert states == [State.DONE, State.FAILED, State.WAITING, State.WAITING]


@pytest.mark.parametrize(
    ("micro", "words"),
    [
        (None, "price not known"),
        (0, "$0.00"),
        (1_234, "$0.0012"),
        (340_000, "$0.34"),
        (12_500_000_000, "$12,500.00"),
    ],
)
def test_money_has_as_many_digits_as_it_needs(micro: int | None, words: str) -> None:
    assert progress.dollars(micro) == words


def test_what_workers_will_have_otherwise_is_told_once_and_stays() -> None:
    out = io.StringIO()
    it = told(PlainLines(out))
    it.noted(("numpy: 1.26 in place of 2.0",))
    it.noted(("numpy: 1.26 in place of 2.0",))
    python = "Python 3.11.2 in place of 3.11.7, which this VM does not have"
    for seq in (10, 11):
        why = f"importing Dask; {python}"
        it.event(event(EventKind.INSTANCE_STAGE, seq, why=why, after=str(Stage.STARTING)))
    it.close()
    lines = [line for line in out.getvalue().splitlines() if "note: " in line]
    assert lines == ["mine: note: numpy: 1.26 in place of 2.0", f"mine: note: {python}"]
    assert it.snapshot.notes[0] in progress.html(it.snapshot)

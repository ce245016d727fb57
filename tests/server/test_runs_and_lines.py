"""What would fill a page is told once: events of many VMs, computations of one line of code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shoal.server.pages.lines import lines
from shoal.server.pages.runs import runs
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import EventSeq, InstanceId
from shoal.wire.telemetry import CodeFrame, Computation

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def event(seq: int, vm: int, after: str, *, why: str = "", after_s: float | None = None) -> Event:
    at = NOW + timedelta(seconds=seq if after_s is None else after_s)
    kind, id = EventKind.INSTANCE_STAGE, InstanceId(f"shoal-c-{vm}")
    return Event(at, kind, "agent", why, EventSeq(seq), instance=id, after=after)


def told(events: list[Event]) -> list[list[int]]:
    return [[it.seq for it in run.events] for run in runs(events)]


def test_what_agents_say_at_about_the_same_time_is_one() -> None:
    """Each VM is ready soon after it has started, while others start."""
    said = [event(9 - n, n, ("ready", "starting")[n % 2]) for n in range(8)]
    assert told(said) == [[9, 7, 5, 3], [8, 6, 4, 2]]


def test_clocks_that_differ_make_no_run_go_back_in_time() -> None:
    said = [event(5, 1, "ready", after_s=0), event(4, 2, "ready", after_s=3),
            event(3, 3, "ready", after_s=1)]  # fmt: skip
    [run] = runs(said)
    assert (run.began_at, run.lasted_s) == (NOW, 3.0)


def test_few_stay_where_they_were() -> None:
    said = [event(4, 1, "ready"), event(3, 1, "starting"), event(2, 2, "ready")]
    assert told(said) == [[4], [3], [2]]


def test_what_is_far_apart_or_has_another_reason_is_told_apart() -> None:
    apart = [event(5 - n, n, "ready", after_s=-61.0 * n) for n in range(4)]
    assert told(apart) == [[5], [4], [3], [2]]
    reasons = [event(5 - n, n, "failed", why=f"disk {n} is full") for n in range(4)]
    assert told(reasons) == [[5], [4], [3], [2]]


def test_what_is_of_no_vm_is_never_one_of_many() -> None:
    said = [
        Event(NOW, EventKind.CLUSTER_SCALED, "ada", "", EventSeq(9 - n), after="4")
        for n in range(3)
    ]
    assert told(said) == [[9], [8], [7]]


def computation(number: int, line: int, *, runs: bool = False, erred: int = 0) -> Computation:
    began = NOW - timedelta(minutes=number)
    code = (CodeFrame("loop.py", line, "x.compute()", line),) if line else ()
    ended = None if runs else began + timedelta(seconds=10)
    return Computation(
        f"k{number}", began, ended, code, tasks=100, done=90, erred=erred, compute_s=5.0
    )


def test_computations_of_one_line_are_one_row_with_their_sums() -> None:
    asked = [computation(0, 7, runs=True), computation(1, 9), computation(2, 7, erred=3)]
    first, second = lines(asked, {})
    assert [it.id for it in first.each] == ["k0", "k2"]
    assert (first.tasks, first.done, first.erred, first.compute_s) == (200, 180, 3, 10.0)
    assert first.run == 1
    assert first.took_s(NOW + timedelta(seconds=4)) == 14.0
    assert second.each == (asked[1],)


def test_computations_without_code_go_by_their_tasks() -> None:
    asked = [computation(n, 0) for n in range(4)]
    names = {"k0": "inc", "k1": "sum", "k2": "inc"}
    assert [[it.id for it in line.each] for line in lines(asked, names)] == [
        ["k0", "k2"],
        ["k1"],
        ["k3"],
    ]

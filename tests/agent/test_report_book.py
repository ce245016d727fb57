"""What a reader is told: everything once it changed, again if it asks again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shoal.agent.report_book import LINES_A_REPORT, MOST_LINES, ReportBook
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.reports import HeadReport, SchedulerReport, VmReport
from shoal.wire.specs import Role
from shoal.wire.views import LogLine, Stage

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ONE, TWO = InstanceId("shoal-c-1"), InstanceId("shoal-c-2")


def book() -> ReportBook:
    return ReportBook(ClusterId("c-abcdefghij"), AT)


def vm(name: InstanceId = ONE, stage: Stage = Stage.READY, memory_bytes: int = 0) -> VmReport:
    return VmReport(name, Role.WORKER, stage, AT, memory_bytes=memory_bytes)


def line(text: str) -> LogLine:
    return LogLine(AT, ONE, "worker", text)


def since(it: ReportBook, cursor: int) -> HeadReport:
    return it.since(cursor, 1, ())


def test_a_reader_is_told_what_changed_since_it_last_read() -> None:
    it = book()
    it.vm(vm(ONE))
    it.vm(vm(TWO))
    first = since(it, 0)
    assert {report.instance for report in first.vms} == {ONE, TWO}
    it.vm(vm(TWO, Stage.DRAINING))
    second = since(it, first.cursor)
    assert [report.stage for report in second.vms] == [Stage.DRAINING]
    assert since(it, second.cursor).vms == ()


def test_a_lost_answer_is_told_again() -> None:
    it = book()
    it.vm(vm())
    it.log(line("hello"))
    assert since(it, 0) == since(it, 0)


def test_a_sample_is_told_but_is_no_news() -> None:
    it = book()
    assert it.vm(vm())
    assert not it.vm(vm(memory_bytes=5))
    assert it.vm(vm(stage=Stage.FAILED))
    cursor = since(it, 0).cursor
    it.vm(vm(stage=Stage.FAILED, memory_bytes=9))
    assert since(it, cursor).vms[0].memory_bytes == 9


def test_an_unchanged_scheduler_is_not_told_twice() -> None:
    it = book()
    assert it.scheduler(SchedulerReport("tls://here"))
    cursor = since(it, 0).cursor
    assert not it.scheduler(SchedulerReport("tls://here"))
    assert since(it, cursor).scheduler is None
    assert since(it, 0).scheduler == SchedulerReport("tls://here")


def test_a_cursor_of_an_earlier_start_is_behind_everything() -> None:
    earlier = ReportBook(ClusterId("c-abcdefghij"), AT - timedelta(minutes=1))
    for _ in range(1000):
        earlier.vm(vm())
    it = book()
    it.vm(vm())
    assert len(since(it, earlier.cursor).vms) == 1


def test_a_cursor_from_the_future_is_told_everything() -> None:
    it = book()
    it.vm(vm())
    assert len(since(it, it.cursor + 1000).vms) == 1


@given(st.lists(st.integers(1, 900), min_size=1, max_size=8))
def test_every_line_is_told_once_in_order_to_a_reader_who_keeps_up(bursts: list[int]) -> None:
    it, told, cursor, wrote = book(), [], 0, 0
    for burst in bursts:
        for _ in range(burst):
            it.log(line(str(wrote)))
            wrote += 1
        report = since(it, cursor)
        told += [chunk.line.text for chunk in report.logs]
        cursor = report.cursor
    while (report := since(it, cursor)).logs:
        told += [chunk.line.text for chunk in report.logs]
        cursor = report.cursor
    assert told == [str(number) for number in range(wrote)]


def test_a_burst_of_lines_comes_in_portions_and_hides_nothing_else() -> None:
    it = book()
    for number in range(LINES_A_REPORT + 1):
        it.log(line(str(number)))
    it.vm(vm())
    first = since(it, 0)
    assert len(first.logs) == LINES_A_REPORT
    assert len(first.vms) == 1
    second = since(it, first.cursor)
    assert len(second.logs) == 1
    assert second.cursor == it.cursor


def test_lines_that_nobody_fetched_in_time_are_counted() -> None:
    it = book()
    for number in range(MOST_LINES + 123):
        it.log(line(str(number)))
    told, dropped, cursor = 0, 0, 0
    while (report := since(it, cursor)).logs:
        told, dropped, cursor = (
            told + len(report.logs),
            dropped + report.logs_dropped,
            report.cursor,
        )
    assert told == MOST_LINES
    assert dropped == 123


def test_lines_that_a_worker_lost_are_counted_too() -> None:
    it = book()
    it.lost(7)
    report = since(it, 0)
    assert report.logs_dropped == 7
    assert since(it, report.cursor).logs_dropped == 0


def test_a_report_survives_the_wire() -> None:
    it = book()
    it.vm(vm())
    it.log(line("hello"))
    report = since(it, 0)
    assert msgspec.json.decode(msgspec.json.encode(report), type=HeadReport) == report

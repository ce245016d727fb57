"""At the head: everything there is to tell the server, by when it last changed.

A reader says up to where it has read (its cursor) and is given what changed since. Nothing is
forgotten because it was sent, so a lost answer, a second reader and a server that was away for an
hour are the same case. Logs and telemetry alone are bounded: the oldest go, counted.

Cursors count changes, from the millisecond at which this head started: so one that was given by an
earlier start is below all of them, and its reader is told everything.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

from shoal.agent.standing import without_samples
from shoal.agent.telemetry_book import Gaps, TelemetryBook
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.reports import HeadReport, LogChunk, SchedulerReport, StopNotice, VmReport
from shoal.wire.telemetry import Chunk, Item
from shoal.wire.views import LogLine

MOST_LINES = 20_000
LINES_A_REPORT = 2_000
ITEMS_A_REPORT = 2_000


class ReportBook:
    def __init__(
        self, cluster: ClusterId, started_at: datetime, telemetry: TelemetryBook | None = None
    ) -> None:
        self.cursor = int(started_at.timestamp() * 1000)
        self._cluster = cluster
        self._started_at = started_at
        self._vms: dict[InstanceId, tuple[int, VmReport]] = {}
        self._scheduler: tuple[int, SchedulerReport | None] = (0, None)
        self._stop: StopNotice | None = None
        self._logs: deque[LogChunk] = deque()
        self._gaps = Gaps()  # lines
        self._telemetry = telemetry or TelemetryBook()

    def vm(self, report: VmReport) -> bool:
        """Whether it is news, or only a newer sample."""
        _, known = self._vms.get(report.instance, (0, None))
        self._vms[report.instance] = (self._next(), report)
        return known is None or without_samples(known) != without_samples(report)

    def vms(self) -> dict[InstanceId, VmReport]:
        return {name: report for name, (_, report) in self._vms.items()}

    def scheduler(self, report: SchedulerReport | None) -> bool:
        if report == self._scheduler[1]:
            return False
        self._scheduler = (self._next(), report)
        return True

    def stop(self, notice: StopNotice) -> None:
        self._stop = notice
        self._next()

    def log(self, line: LogLine) -> None:
        self._logs.append(LogChunk(self._next(), line))
        if len(self._logs) > MOST_LINES:
            self.lost(1, up_to=self._logs.popleft().seq)

    def lost(self, lines: int, up_to: int | None = None) -> None:
        """Lines that nobody will be told: who has read less than `up_to` (now) has missed them."""
        self._gaps.add(self._next() if up_to is None else up_to, lines)

    def record(self, item: Item) -> None:
        self._telemetry.put(self._next(), item)

    def unrecorded(self, items: int) -> None:
        """Telemetry that was lost on the way here."""
        self._telemetry.gaps.add(self._next(), items)

    def since(self, cursor: int, orders_version: int, missing: tuple[str, ...]) -> HeadReport:
        """What changed after `cursor`. One from the future (a clock was set back) means nothing."""
        after = cursor if cursor <= self.cursor else 0
        logs, telemetry, reached = self._bounded(after)
        changed, scheduler = self._scheduler
        return HeadReport(
            cluster=self._cluster,
            head_started_at=self._started_at,
            cursor=reached,
            vms=tuple(report for at, report in self._vms.values() if at > after),
            scheduler=scheduler if changed > after else None,
            stop=self._stop,
            logs=logs,
            logs_dropped=self._gaps.between(after, reached),
            orders_version=orders_version,
            missing_wheels=missing,
            telemetry=telemetry,
            telemetry_dropped=self._telemetry.gaps.between(after, reached),
        )

    def _bounded(self, after: int) -> tuple[tuple[LogChunk, ...], tuple[Chunk, ...], int]:
        """Lines, items, and the cursor they bring a reader to: not past one it has not got."""
        logs, items = self._lines_after(after), self._telemetry.after(after)
        reached = self.cursor
        if len(logs) > LINES_A_REPORT:
            reached = logs[LINES_A_REPORT - 1].seq
        if len(items) > ITEMS_A_REPORT:
            reached = min(reached, items[ITEMS_A_REPORT - 1].seq)
        return (
            tuple(it for it in logs if it.seq <= reached),
            tuple(it for it in items if it.seq <= reached),
            reached,
        )

    def _lines_after(self, after: int) -> list[LogChunk]:
        newest: list[LogChunk] = []
        for chunk in reversed(self._logs):
            if chunk.seq <= after:
                break
            newest.append(chunk)
        newest.reverse()
        return newest

    def _next(self) -> int:
        self.cursor += 1
        return self.cursor

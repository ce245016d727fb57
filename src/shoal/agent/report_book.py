"""At the head: everything there is to tell the server, by when it last changed.

A reader says up to where it has read (its cursor) and is given what changed since. Nothing is
forgotten because it was sent, so a lost answer, a second reader and a server that was away for an
hour are the same case. Logs alone are bounded: the oldest lines go, counted.

Cursors count changes, from the millisecond at which this head started: so one that was given by an
earlier start is below all of them, and its reader is told everything.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

from shoal.agent.standing import without_samples
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.reports import HeadReport, LogChunk, SchedulerReport, StopNotice, VmReport
from shoal.wire.views import LogLine

MOST_LINES = 20_000
LINES_A_REPORT = 2_000
_MOST_GAPS = 64


class ReportBook:
    def __init__(self, cluster: ClusterId, started_at: datetime) -> None:
        self.cursor = int(started_at.timestamp() * 1000)
        self._cluster = cluster
        self._started_at = started_at
        self._vms: dict[InstanceId, tuple[int, VmReport]] = {}
        self._scheduler: tuple[int, SchedulerReport | None] = (0, None)
        self._stop: StopNotice | None = None
        self._logs: deque[LogChunk] = deque()
        self._gaps: deque[tuple[int, int]] = deque()  # (cursor, lines lost that were newer than it)

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
        self._gaps.append((self._next() if up_to is None else up_to, lines))
        if len(self._gaps) > _MOST_GAPS:
            _, first = self._gaps.popleft()
            cursor, second = self._gaps.popleft()
            self._gaps.appendleft((cursor, first + second))

    def since(self, cursor: int, orders_version: int, missing: tuple[str, ...]) -> HeadReport:
        """What changed after `cursor`. One from the future (a clock was set back) means nothing."""
        after = cursor if cursor <= self.cursor else 0
        logs, reached = self._lines_after(after)
        changed, scheduler = self._scheduler
        return HeadReport(
            cluster=self._cluster,
            head_started_at=self._started_at,
            cursor=reached,
            vms=tuple(report for at, report in self._vms.values() if at > after),
            scheduler=scheduler if changed > after else None,
            stop=self._stop,
            logs=logs,
            logs_dropped=sum(lines for at, lines in self._gaps if after < at <= reached),
            orders_version=orders_version,
            missing_wheels=missing,
        )

    def _lines_after(self, after: int) -> tuple[tuple[LogChunk, ...], int]:
        """The lines, and the cursor they bring a reader to: not past a line it has not got."""
        newest: list[LogChunk] = []
        for chunk in reversed(self._logs):
            if chunk.seq <= after:
                break
            newest.append(chunk)
        newest.reverse()
        if len(newest) > LINES_A_REPORT:
            return tuple(newest[:LINES_A_REPORT]), newest[LINES_A_REPORT - 1].seq
        return tuple(newest), self.cursor

    def _next(self) -> int:
        self.cursor += 1
        return self.cursor

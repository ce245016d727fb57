"""One cluster at a glance: how it is, what deserves attention, what ran, what it costs.

Values first (`Details`), words beside them: the CLI prints the same, a notebook shows it as HTML.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from html import escape

import msgspec

from shoal.client.api import Api
from shoal.client.credentials.found import ForwardedIdentity
from shoal.client.progress import dollars, worker_words
from shoal.wire import endpoints
from shoal.wire.telemetry import (
    Computation,
    ComputationList,
    ExceptionList,
    SignalList,
    SignalView,
    TaskException,
    Telemetry,
)
from shoal.wire.views import ClusterView

_COMPUTATIONS, _EXCEPTIONS = 10, 10


class Details(msgspec.Struct, frozen=True):
    cluster: ClusterView
    signals: tuple[SignalView, ...]
    computations: tuple[Computation, ...]  # the newest first
    exceptions: tuple[TaskException, ...]
    credentials: tuple[ForwardedIdentity, ...] = ()  # in a session that forwards them
    record: Telemetry = Telemetry(0, 0, 0, 0, 0, 0)  # how much of it is on record, and what lacks

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _lines(self) -> list[str]:
        view = self.cluster
        told = [f"{view.name} ({view.id}): {view.sentence}"]
        if view.cost_uusd is not None:
            told.append(cost_words(view))
        told += [f"Credentials: {it}" for it in self.credentials]
        told += lacking(self.record)
        for it in self.signals:
            told += ["", *signal_lines(it)]
        if self.computations:
            told += ["", "Computations:"]
            told += [f"  {computation_line(it)}" for it in self.computations]
        if self.exceptions:
            told += ["", "Exceptions:"]
            told += [f"  {exception_line(it)}" for it in self.exceptions]
        return told

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{it.started_at:%H:%M:%S}</td><td>{escape(code_line(it))}</td>"
            f"<td>{it.done:,} of {it.tasks:,}</td><td>{escape(duration_words(it))}</td>"
            f"<td>{it.erred or ''}</td></tr>"
            for it in self.computations
        )
        table = (
            "<table><thead><tr><th>began</th><th>code</th><th>tasks</th><th>took</th>"
            f"<th>failed</th></tr></thead><tbody>{rows}</tbody></table>"
            if rows
            else ""
        )
        failed = "".join(f"<li>{escape(exception_line(it))}</li>" for it in self.exceptions)
        raised = f"<p>Exceptions:</p><ul>{failed}</ul>" if failed else ""
        forwarded = "".join(f"<p>Credentials: {escape(str(it))}</p>" for it in self.credentials)
        return f"<div>{self.summary_html()}{forwarded}{table}{raised}</div>"

    def summary_html(self) -> str:
        """How it is and what deserves attention; not what ran."""
        view = self.cluster
        signals = "".join(
            f"<p><strong>{escape(it.signal.severity.upper())}: {escape(it.signal.title)}</strong>: "
            f"{escape(it.signal.evidence)} {escape(it.signal.advice)}</p>"
            for it in self.signals
        )
        lacks = "".join(f"<p><small>{escape(it)}</small></p>" for it in lacking(self.record))
        link = escape(view.details_url, quote=True)
        more = f" · <a href='{link}' target='_blank'>details</a>" if link else ""
        return (
            f"<div><p><strong>{escape(view.name)}</strong>: {escape(view.sentence)}</p>"
            f"<p>Workers: {escape(worker_words(view.workers))}</p>"
            f"<p>{escape(cost_words(view))}{more}</p>{signals}{lacks}</div>"
        )


async def of_cluster(api: Api, cluster: str) -> Details:
    path = {"cluster": cluster}
    view: ClusterView = await api.call(endpoints.CLUSTER, path=path)
    wanted = endpoints.ComputationQuery(cluster=view.id, limit=_COMPUTATIONS)
    newest = endpoints.NewestQuery(limit=_EXCEPTIONS)
    signals: SignalList
    ran: ComputationList
    raised: ExceptionList
    record: Telemetry
    signals, ran, raised, record = await asyncio.gather(
        api.call(endpoints.SIGNALS, query=endpoints.SignalQuery(cluster=view.id)),
        api.call(endpoints.COMPUTATIONS, query=wanted),
        api.call(endpoints.EXCEPTIONS, path={"cluster": view.id}, query=newest),
        api.call(endpoints.TELEMETRY, path={"cluster": view.id}),
    )
    return Details(
        view,
        signals.signals,
        tuple(it.computation for it in ran.computations),
        raised.exceptions,
        record=record,
    )


# -- words ----------------------------------------------------------------------------------------


def cost_words(view: ClusterView) -> str:
    if view.cost_uusd is None:
        return "Cost: not known"
    an_hour = view.price_uusd_per_hour
    now = "" if an_hour is None else f", {dollars(an_hour)} an hour"
    return f"Cost: {dollars(view.cost_uusd)} so far{now}"


def lacking(record: Telemetry) -> list[str]:
    """Sentences on what is not on record any more, or never was; none if it is whole."""
    told = []
    if record.dropped or record.logs_dropped:
        told.append(
            f"The record lacks {record.dropped:,} items and {record.logs_dropped:,} lines of the "
            "log: they were dropped on the way, rather than slow a computation down."
        )
    if record.forgotten or record.logs_forgotten:
        told.append(
            f"{record.forgotten:,} items and {record.logs_forgotten:,} lines of the log went "
            "before their time: all records took more room than the server's --samples-mib."
        )
    return told


def signal_lines(it: SignalView) -> list[str]:
    signal = it.signal
    told = [
        f"{signal.severity.upper()}: {signal.title}",
        f"  {signal.evidence}",
        f"  {signal.advice}",
    ]
    return [*told, f"  Would save: {signal.saves}"] if signal.saves else told


def computation_line(it: Computation) -> str:
    failed = f", {it.erred:,} failed" if it.erred else ""
    return (
        f"{it.started_at:%H:%M:%S}  {it.done:,} of {it.tasks:,} tasks, {duration_words(it)}{failed}"
        f"  {code_line(it)}"
    )


def exception_line(it: TaskException) -> str:
    times = f" ×{it.count}" if it.count > 1 else ""
    return f"{it.last_at:%H:%M:%S}  {it.prefix}{times}: {it.type}: {it.message}".splitlines()[0]


def duration_words(it: Computation, now: datetime | None = None) -> str:
    seconds = ((it.stopped_at or now or datetime.now(UTC)) - it.started_at).total_seconds()
    words = f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"
    return words if it.stopped_at else f"{words} so far"


def code_line(it: Computation) -> str:
    """The line that asked for it, and where it stands."""
    if not it.code:
        return ""
    frame = it.code[-1]
    lines = frame.code.splitlines()
    at = frame.line - max(frame.first_line, 1)
    line = lines[at].strip() if 0 <= at < len(lines) else ""
    return f"{frame.file.rpartition('/')[2]}:{frame.line}  {line[:100]}".rstrip()

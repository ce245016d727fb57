"""Events and computations to an OpenTelemetry collector, where one is set (`otlp_endpoint`).

Events become log records, computations that are over become spans, and what their tasks raised the
spans' events. What was taken is not sent again; what was not is sent with the next pass. Where this
server was is kept in memory: after a restart it goes on with what ends then, since the record
itself is here.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import httpx2
import msgspec

from shoal.errors import CloudError
from shoal.store import events as event_rows
from shoal.store import telemetry as records
from shoal.store.database import Database
from shoal.version import VERSION
from shoal.wire import otlp
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, EventSeq, InstallationId
from shoal.wire.telemetry import Computation, TaskException

EVERY_S = 10.0
_AT_ONCE = 500
_LATE = timedelta(days=1)  # a computation that is heard of later than this is not exported
_EXCEPTIONS = 20  # of one computation
_WARNINGS = (EventKind.ALARM, EventKind.BATCH_REFUSED, EventKind.VM_SWEPT)


class Exporter:
    def __init__(self, endpoint: str, installation: InstallationId, database: Database) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._database = database
        self._resource = otlp.Resource(
            otlp.attributes(
                {
                    "service.name": "shoal",
                    "service.version": VERSION,
                    "service.instance.id": installation,
                }
            )
        )
        self._seq: EventSeq | None = None
        self._sent: set[tuple[ClusterId, str]] = set()  # computations that ended within _LATE

    async def export(self, now: datetime, client: httpx2.AsyncClient) -> None:
        """CloudError if the collector does not take it."""
        if self._seq is None:
            self._seq = await self._database.run(event_rows.latest)
            self._sent = set(await self._over(now))
            return
        await self._events(client)
        await self._computations(client, now)

    async def _events(self, client: httpx2.AsyncClient) -> None:
        assert self._seq is not None
        found = await self._database.run(event_rows.after, self._seq, limit=_AT_ONCE)
        if found:
            lines = otlp.ScopeLogs(tuple(map(log_record, found)))
            told = otlp.Logs((otlp.ResourceLogs(self._resource, (lines,)),))
            await self._post(client, "/v1/logs", told)
            self._seq = found[-1].seq

    async def _computations(self, client: httpx2.AsyncClient, now: datetime) -> None:
        over = await self._over(now)
        self._sent &= set(over)
        left = [it for it in over if it not in self._sent]
        for first in range(0, len(left), _AT_ONCE):
            keys = left[first : first + _AT_ONCE]
            found = await self._database.run_samples(records.whole, keys, _EXCEPTIONS)
            if found:
                spans = otlp.ScopeSpans(tuple(map(span, found)))
                told = otlp.Traces((otlp.ResourceSpans(self._resource, (spans,)),))
                await self._post(client, "/v1/traces", told)
            self._sent |= set(keys)

    async def _over(self, now: datetime) -> list[tuple[ClusterId, str]]:
        return await self._database.run_samples(records.over, now - _LATE)

    async def _post(self, client: httpx2.AsyncClient, path: str, told: msgspec.Struct) -> None:
        headers = {"Content-Type": "application/json"}
        try:
            answer = await client.post(
                self._endpoint + path, content=msgspec.json.encode(told), headers=headers
            )
            answer.raise_for_status()
        except httpx2.HTTPError as error:
            raise CloudError(
                f"The OpenTelemetry collector at {self._endpoint} does not take {path}: {error}.",
                hint="Look at its log, or start the server without --otlp-endpoint.",
            ) from error


def log_record(it: Event) -> otlp.LogRecord:
    number, word = (13, "WARN") if it.kind in _WARNINGS else (9, "INFO")
    return otlp.LogRecord(
        time_unix_nano=otlp.nanoseconds(it.at),
        body=otlp.Text(it.why),
        severity_number=number,
        severity_text=word,
        attributes=otlp.attributes(
            {
                "event.name": f"shoal.{it.kind}",
                "shoal.seq": str(it.seq),
                "shoal.workspace": it.workspace or "",
                "shoal.cluster": it.cluster or "",
                "shoal.instance": it.instance or "",
                "shoal.actor": it.actor,
                "shoal.before": it.before,
                "shoal.after": it.after,
            }
        ),
    )


def span(it: records.Over) -> otlp.Span:
    """The same ids each time: a collector that hears of one twice sees one."""
    found = it.computation
    digest = hashlib.sha256(f"{it.cluster} {found.id}".encode()).hexdigest()
    return otlp.Span(
        trace_id=digest[:32],
        span_id=digest[32:48],
        name=_name(found),
        start_time_unix_nano=otlp.nanoseconds(found.started_at),
        end_time_unix_nano=otlp.nanoseconds(found.stopped_at or found.started_at),
        attributes=otlp.attributes(
            {
                "shoal.workspace": it.workspace,
                "shoal.cluster": it.cluster,
                "shoal.computation": found.id,
                "dask.tasks": str(found.tasks),
                "dask.erred": str(found.erred),
                "dask.workers": str(found.workers),
                "dask.compute_seconds": f"{found.compute_s:.3f}",
                "code.filepath": found.code[-1].file if found.code else "",
                "code.lineno": str(found.code[-1].line) if found.code else "",
            }
        ),
        status=otlp.Status(2 if found.erred else 1),
        events=tuple(map(_raised, it.exceptions)),
    )


def _raised(it: TaskException) -> otlp.SpanEvent:
    """By OpenTelemetry's own names (opentelemetry.io/docs/specs/semconv/exceptions)."""
    return otlp.SpanEvent(
        time_unix_nano=otlp.nanoseconds(it.at),
        name="exception",
        attributes=otlp.attributes(
            {
                "exception.type": it.type,
                "exception.message": it.message,
                "exception.stacktrace": it.traceback,
                "dask.key": it.key,
                "dask.prefix": it.prefix,
                "dask.worker": it.worker,
                "dask.tasks": str(it.count),
            }
        ),
    )


def _name(it: Computation) -> str:
    return f"{it.code[-1].file}:{it.code[-1].line}" if it.code else "computation"

"""Events and computations to an OpenTelemetry collector, where one is set (`otlp_endpoint`).

Events become log records, computations that are over become spans. What was taken is not sent
again; what was not is sent with the next pass. Where this server was is kept in memory: after a
restart it goes on with what happens then, since the record itself is here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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
from shoal.wire.ids import EventSeq, InstallationId
from shoal.wire.telemetry import Computation, ComputationView

EVERY_S = 10.0
_AT_ONCE = 500
_LONG = timedelta(days=1)  # a computation that runs longer is not exported
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
        self._sent: dict[str, datetime] = {}  # computations, by id and when they began

    async def export(self, now: datetime, client: httpx2.AsyncClient) -> None:
        """CloudError if the collector does not take it."""
        if self._seq is None:
            self._seq = await self._database.run(event_rows.latest)
            over = await self._over(now)
            self._sent = {_key(it): it.computation.started_at for it in over}
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
        found = [it for it in await self._over(now) if _key(it) not in self._sent]
        if found:
            spans = otlp.ScopeSpans(tuple(map(span, found)))
            told = otlp.Traces((otlp.ResourceSpans(self._resource, (spans,)),))
            await self._post(client, "/v1/traces", told)
        self._sent |= {_key(it): it.computation.started_at for it in found}
        self._sent = {key: at for key, at in self._sent.items() if now - at <= _LONG}

    async def _over(self, now: datetime) -> Sequence[ComputationView]:
        return await self._database.run_samples(records.over, now - _LONG, _AT_ONCE)

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


def _key(it: ComputationView) -> str:
    return f"{it.cluster} {it.computation.id}"


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


def span(it: ComputationView) -> otlp.Span:
    """The same ids each time: a collector that hears of one twice sees one."""
    found = it.computation
    digest = hashlib.sha256(_key(it).encode()).hexdigest()
    return otlp.Span(
        trace_id=digest[:32],
        span_id=digest[32:48],
        name=_name(found),
        start_time_unix_nano=otlp.nanoseconds(found.started_at),
        end_time_unix_nano=otlp.nanoseconds(found.stopped_at or found.started_at),
        attributes=otlp.attributes(
            {
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
    )


def _name(it: Computation) -> str:
    return f"{it.code[-1].file}:{it.code[-1].line}" if it.code else "computation"

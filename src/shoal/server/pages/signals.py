"""Signals on pages: of a cluster all of them, of many the worst; and as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from starlette.responses import Response

from shoal.server.desk import Incoming
from shoal.server.handlers import telemetry as handlers
from shoal.server.pages import exports
from shoal.server.pages.cluster import cluster_view
from shoal.server.pages.frame import Visit
from shoal.store import signals as signal_rows
from shoal.wire.endpoints import SignalQuery
from shoal.wire.ids import ClusterId
from shoal.wire.telemetry import Severity, SignalView


async def signals_of(visit: Visit, cluster: ClusterId, *, past: bool) -> tuple[SignalView, ...]:
    query = SignalQuery(cluster=cluster, past=past)
    found = await handlers.signals(visit.desk, Incoming(visit.known.caller, {}, query, None))
    return found.signals


class Sign(msgspec.Struct, frozen=True):
    """Of a cluster in a list: the worst of its signals, and how many more there are."""

    title: str
    severity: Severity
    more: int

    @property
    def words(self) -> str:
        return f"{self.severity}: {self.title}" + (f", and {self.more} more" if self.more else "")


async def signs(visit: Visit, clusters: Sequence[ClusterId]) -> Mapping[ClusterId, Sign]:
    """Of those that run what shows now; of those that are over what showed."""
    found = await visit.desk.database.run_samples(signal_rows.of_clusters, clusters)
    return {id: _sign(views) for id, views in found.items()}


def _sign(views: Sequence[SignalView]) -> Sign:
    shown = [it for it in views if it.active] or views
    worst = min(shown, key=lambda it: _WORST_FIRST.index(it.signal.severity)).signal
    return Sign(worst.title, worst.severity, len(shown) - 1)


_WORST_FIRST = (Severity.PROBLEM, Severity.WARNING, Severity.ADVICE)
_SIGNAL_TITLES = (
    *("kind", "severity", "title", "evidence", "advice", "argument", "first_at", "last_at"),
    *("active", "workers", "saves"),
)


async def signals_csv(visit: Visit) -> Response:
    view = await cluster_view(visit)
    rows = [
        (
            it.signal.kind,
            it.signal.severity,
            it.signal.title,
            it.signal.evidence,
            it.signal.advice,
            it.signal.argument,
            it.first_at,
            it.last_at,
            int(it.active),
            ";".join(it.signal.workers),
            it.signal.saves,
        )
        for it in await signals_of(visit, view.id, past=True)
    ]
    return exports.as_csv(f"{view.name}-signals", _SIGNAL_TITLES, rows)


async def signals_json(visit: Visit) -> Response:
    view = await cluster_view(visit)
    found = await signals_of(visit, view.id, past=True)
    return exports.as_json(f"{view.name}-signals", {"signals": found})

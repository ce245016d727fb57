"""One function an endpoint, by its name in wire/endpoints; one module a noun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.server.handlers import (
    accounts,
    clusters,
    costs,
    environments,
    events,
    offers,
    service,
    telemetry,
    tokens,
    watched,
)

HANDLERS: Mapping[str, Any] = {
    "accounts": accounts.accounts,
    "put_account": accounts.put_account,
    "remove_account": accounts.remove_account,
    "server": service.server,
    "stop_server": service.stop_server,
    "create_cluster": clusters.create_cluster,
    "clusters": clusters.clusters,
    "cluster": clusters.cluster,
    "instances": clusters.instances,
    "scale_cluster": clusters.scale_cluster,
    "stop_cluster": clusters.stop_cluster,
    "certificate": clusters.certificate,
    "explain": clusters.explain,
    "cost": clusters.cost,
    "costs": costs.costs,
    "logs": clusters.logs,
    "computations": telemetry.computations,
    "computation": telemetry.computation,
    "exceptions": telemetry.exceptions,
    "worker_events": telemetry.worker_events,
    "shuffles": telemetry.shuffles,
    "metrics": telemetry.metrics,
    "host_metrics": telemetry.host_metrics,
    "hosts": telemetry.hosts,
    "signals": telemetry.signals,
    "telemetry": telemetry.telemetry,
    "watch": watched.watch,
    "report_watched": watched.report_watched,
    "sync_cluster": clusters.sync_cluster,
    "events": events.events,
    "changes": events.changes,
    "put_environment": environments.put_environment,
    "environment": environments.environment,
    "put_wheel": environments.put_wheel,
    "offers": offers.offers,
    "refresh_offers": offers.refresh_offers,
    "create_token": tokens.create_token,
    "tokens": tokens.tokens,
    "revoke_token": tokens.revoke_token,
}

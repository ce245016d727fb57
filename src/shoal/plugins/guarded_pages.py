"""Dask's own HTTP pages (dashboard, metrics, JSON), for holders of a cluster's certificate alone.

Dask can serve them over TLS but not ask for a client's certificate: it builds that context with
`Purpose.CLIENT_AUTH` and stops there (distributed/node.py, `start_http_server`, 2026.8). The same
method takes a ready context as `ssl_options`, unless a certificate is configured; so it is given
the context that Dask's own listeners use, which requires one.
"""

from __future__ import annotations

import ssl
from typing import Any

import dask


def guarded(server_class: type, role: str) -> type:
    """`server_class` (a Scheduler or a Worker), whose pages ask for a certificate."""

    def start_http_server(
        self: Any,
        routes: Any,
        dashboard_address: Any,
        default_port: int = 0,
        ssl_options: ssl.SSLContext | None = None,
    ) -> None:
        context = self.security.get_listen_args(role)["ssl_context"]
        assert context.verify_mode is ssl.CERT_REQUIRED
        with dask.config.set({"distributed.scheduler.dashboard.tls.cert": None}):
            server_class.start_http_server(  # type: ignore[attr-defined]
                self, routes, dashboard_address, default_port, ssl_options=context
            )

    # A subclass under the same name: Dask reports a worker's type by its class's name.
    return type(server_class.__name__, (server_class,), {"start_http_server": start_http_server})

"""The server itself: who and what it is, and its end."""

from __future__ import annotations

from shoal.wire import views
from shoal.wire.endpoints.kinds import Endpoint, Nothing

SERVER = Endpoint(
    "server", "GET", "/v1/server", "What this server is", "clusters", views.ServerInfo
)

STOP_SERVER = Endpoint(
    "stop_server", "POST", "/v1/server/stop", "End the server; clusters go on", "admin", Nothing
)

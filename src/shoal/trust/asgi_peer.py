"""Who sends this request: the verified certificate of a connection, brought to an ASGI app.

uvicorn does not tell an app what the other end presented (Kludex/uvicorn#400; #3132, still open for
0.54, would). But it hands every request of a connection a copy of the protocol's `app_state`, so it
is enough to put the certificate there once, when the handshake is over. A subclass is the only seam
for that: uvicorn constructs its protocol itself.

The listener lets in peers without a certificate, since a joining worker has none. So each route
says whom it serves: `require_peer(scope, Role.SERVER)`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from shoal.errors import NotAllowed, NotLoggedIn
from shoal.trust.names import Peer, Role
from shoal.trust.peers import peer_role

Scope: TypeAlias = MutableMapping[str, Any]
ASGIApplication: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

_KEY = "peer_certificate"


class PeerProtocol(H11Protocol):
    """For `uvicorn.Config(http=PeerProtocol)`; websockets opened through it inherit the state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, _KEY: _peer_certificate(transport)}
        super().connection_made(transport)


def config(app: ASGIApplication, context: ssl.SSLContext, **options: Any) -> uvicorn.Config:
    """A uvicorn that serves `app` over TLS with `context`, and tells it its peers."""
    loaded = uvicorn.Config(app, http=PeerProtocol, **options)
    loaded.load()
    loaded.ssl = context  # `ssl_context_factory` needs uvicorn 0.47
    return loaded


def presenting(app: ASGIApplication, certificate: bytes | str | None) -> ASGIApplication:
    """`app`, as if every connection had shown `certificate`: for calls in process, without TLS."""

    async def presented(scope: Scope, receive: Any, send: Any) -> None:
        state = {**scope.get("state", {}), _KEY: certificate}
        await app({**scope, "state": state}, receive, send)

    return presented


def find_peer(scope: Scope) -> Peer | None:
    """Who sent this request; nobody if they showed no certificate."""
    certificate = scope["state"][_KEY]
    return peer_role(certificate) if certificate else None


def require_peer(scope: Scope, *roles: Role) -> Peer:
    peer = find_peer(scope)
    if peer is None:
        raise NotLoggedIn("This needs a certificate of the cluster, and none was shown.")
    if peer.role not in roles:
        raise NotAllowed(f"A {peer.role} may not do this; a {' or a '.join(roles)} may.")
    return peer


def _peer_certificate(transport: asyncio.Transport) -> bytes | None:
    connection = transport.get_extra_info("ssl_object")
    return connection.getpeercert(binary_form=True) if connection else None

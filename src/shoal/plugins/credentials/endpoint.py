"""HTTP on 127.0.0.1, in the worker's process, for SDKs in it and in the processes it starts.

AWS and Azure have a secret in their protocol, which is in this process' environment. Google has
none: there the connection must come from a process of the same user, which Linux can tell; where
no system tells, it is refused. Requests are not logged.
"""

from __future__ import annotations

import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from . import aws, azure, gce
from .answer import Answer, Asked, PassOn, of_json
from .held import Held
from .passing_on import Beyond
from .peers import Address, same_user
from .variables import Place

_HOST = "127.0.0.1"
_IDLE_S = 60.0  # for a connection that says nothing


class Keeper(Protocol):
    """What is held, as box.Box has it."""

    @property
    def beyond(self) -> Beyond: ...
    @property
    def now(self) -> float: ...
    def held(self, cloud: str) -> Held | None: ...
    def token(self, resource: str) -> Held | None: ...


class Endpoint:
    def __init__(self, keeper: Keeper) -> None:
        secret = secrets.token_urlsafe(32)
        self._server = _Server(keeper, secret)
        self.place = Place(_HOST, self._server.server_address[1], secret)
        threading.Thread(
            target=self._server.serve_forever, name="shoal-credentials", daemon=True
        ).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(keeper: Keeper, secret: str, asked: Asked, *, same_user: bool | None) -> Answer:
    if same_user is False:
        return of_json({"message": "Only for the user whose credentials these are"}, 403)
    match asked.path:
        case "/aws":
            return aws.answer(asked, keeper.held("aws"), secret)
        case "/azure":
            refused = azure.refusal(asked, secret)
            if isinstance(refused, PassOn):
                return keeper.beyond.ask("azure", refused)
            resource = azure.normal(asked.query.get("resource", ""))
            return refused or azure.answer(resource, keeper.token(resource), keeper.now)
    if same_user is None:
        return of_json({"message": "This system does not tell whose process asks"}, 403)
    found = gce.answer(asked, keeper.held("gcp"), keeper.now)
    return keeper.beyond.ask("gcp", found) if isinstance(found, PassOn) else found


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, keeper: Keeper, secret: str) -> None:
        super().__init__((_HOST, 0), _Requests)
        self.keeper, self.secret = keeper, secret


class _Requests(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = Asked(
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            target=self.path,
        )
        same = same_user(self.client_address, self._own)
        found = answer(self.server.keeper, self.server.secret, asked, same_user=same)
        body = found.body.encode()
        self.send_response(found.status)
        self.send_header("Content-Type", found.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in found.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    @property
    def _own(self) -> Address:
        host, port = self.connection.getsockname()[:2]
        return host, port

    def version_string(self) -> str:
        return "shoal"

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are the user's business, and secrets may be in them."""

"""One HTTP server for the VMs of all clouds: who asks is known by the address they ask from."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

import msgspec


class Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True):
    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = {}


NOT_FOUND = Answer(404)


def text(value: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(body=value.encode(), headers=headers or {})


def json(value: object, *, headers: Mapping[str, str] | None = None) -> Answer:
    encoded = msgspec.json.encode(value)
    return Answer(body=encoded, content_type="application/json", headers=headers or {})


class Metadata(Protocol):
    """What one VM is told."""

    def answer(self, request: Request) -> Answer: ...

    def warn(self, at: datetime) -> None:
        """The cloud is going to take this VM, then."""
        ...


class MetadataServer:
    def __init__(self, door: socket.socket) -> None:
        self._guests: dict[str, Metadata] = {}
        self._http = ThreadingHTTPServer(("", 0), self._handler(), bind_and_activate=False)
        self._http.socket.close()
        self._http.socket = door
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="metadata", daemon=True
        )
        self._thread.start()

    def welcome(self, address: str, metadata: Metadata) -> None:
        self._guests[address] = metadata

    def forget(self, address: str) -> None:
        self._guests.pop(address, None)

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _answer(self, address: str, request: Request) -> Answer:
        guest = self._guests.get(address)
        return guest.answer(request) if guest else NOT_FOUND

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                request = Request(
                    method=self.command,
                    path=parts.path,
                    query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                    headers={k.lower(): v for k, v in self.headers.items()},
                    body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                )
                told = answer(self.client_address[0], request)
                self.send_response(told.status)
                self.send_header("Content-Type", told.content_type)
                self.send_header("Content-Length", str(len(told.body)))
                for name, value in told.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(told.body)

            do_PUT = do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Silent: what a VM was told is seen by what it does."""

        return Handler

"""A package index on loopback (PEP 503), which may ask for a password."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Index:
    """Serves the wheels of a directory, and counts what it is asked."""

    def __init__(self, wheels: Path, user: str) -> None:
        self.wheels, self.user = wheels, user
        self.asked = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))

    @property
    def url(self) -> str:
        who = f"{self.user}@" if self.user else ""
        return f"http://{who}127.0.0.1:{self.server.server_port}/simple/"

    def file_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/files/{name}"

    def page(self, name: str) -> bytes | None:
        files = [it for it in sorted(self.wheels.glob("*.whl")) if it.name.split("-")[0] == name]
        links = [
            f'<a href="/files/{it.name}#sha256={hashlib.sha256(it.read_bytes()).hexdigest()}">'
            f"{it.name}</a>"
            for it in files
        ]
        return "\n".join(links).encode() if files else None

    def answer(self, path: str) -> bytes | None:
        self.asked += 1
        if path.startswith("/files/"):
            file = self.wheels / Path(path).name
            return file.read_bytes() if file.exists() else None
        return self.page(Path(path).name.replace("-", "_"))


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, index: Index, *given: object) -> None:
        self.index = index
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        expected = f"Basic {base64.b64encode(self.index.user.encode()).decode()}"
        if self.index.user and self.headers.get("Authorization") != expected:
            return self._send(401, b"")
        body = self.index.answer(self.path)
        return self._send(404 if body is None else 200, body or b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header(
            "Content-Type", "text/html" if "simple" in self.path else "application/zip"
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def serving(wheels: Path, user: str = "") -> Iterator[Index]:
    index = Index(wheels, user)
    thread = threading.Thread(target=index.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield index
    finally:
        index.server.shutdown()
        thread.join()
        index.server.server_close()

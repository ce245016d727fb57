"""A relay on loopback that counts the bytes of both directions, whatever they mean."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.parse
from collections.abc import Iterator


class Relay:
    """Of an "http(s)://host:port"; `url` is where to go instead."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._there = str(parts.hostname), int(parts.port or 0)
        self._door = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"{parts.scheme}://127.0.0.1:{self._door.getsockname()[1]}"
        self.bytes = 0
        self._lock = threading.Lock()

    def serve(self) -> None:
        while True:
            try:
                here, _ = self._door.accept()
            except OSError:
                return
            there = socket.create_connection(self._there)
            for ends in ((here, there), (there, here)):
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                with self._lock:
                    self.bytes += len(chunk)
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(url: str) -> Iterator[Relay]:
    made = Relay(url)
    threading.Thread(target=made.serve, daemon=True).start()
    try:
        yield made
    finally:
        made.close()

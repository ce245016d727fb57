"""The package index, and nothing else of the outside, reached from a network of VMs.

In the VMs' DNS the hosts of the index have an address of the network. There these connections are
taken and carried on, byte by byte, from where the tests run; TLS passes through. So the VMs need
no setting of their own, as in a private network whose DNS leads to its mirror.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from tests.vms import namespaces

_PYPI = ("https://pypi.org", "https://files.pythonhosted.org")
_SETTINGS = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX")
_CHUNK = 2**16  # bytes


class Upstream(msgspec.Struct, frozen=True):
    host: str
    port: int


def upstreams() -> list[Upstream]:
    """PyPI's hosts, and those that uv's settings name on this machine."""
    urls = [*_PYPI, *(url for it in _SETTINGS for url in os.environ.get(it, "").split())]
    parts = [urlsplit(url.rpartition("=")[2] if "=" in url else url) for url in urls]
    found = {
        Upstream(it.hostname, it.port or (80 if it.scheme == "http" else 443))
        for it in parts
        if it.hostname and it.scheme in ("http", "https")
    }
    return sorted(found, key=lambda it: (it.host, it.port))


class IndexRoad:
    """One thread that carries every connection. `ways`: upstream and its address inside."""

    def __init__(self, namespace: str, ways: Sequence[tuple[Upstream, str]]) -> None:
        self._doors = [
            (_found(upstream), namespaces.listener(namespace, address, upstream.port))
            for upstream, address in ways
        ]
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="package index road", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())  # which cancels what is still carried

    async def _serve(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for upstream, door in self._doors:
                taken = functools.partial(_carry, address=upstream)
                await stack.enter_async_context(await asyncio.start_server(taken, sock=door))
            await self._closing.wait()


def _found(upstream: Upstream) -> tuple[str, int]:
    """Its address, asked for once: many connections are opened."""
    first, *_ = socket.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM)
    host, port = first[4][:2]
    return str(host), int(port)


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: tuple[str, int]
) -> None:
    """Ends quietly when cancelled: Python 3.11's streams log that as an error (gh-111601)."""
    with contextlib.suppress(asyncio.CancelledError, OSError), contextlib.closing(writer):
        far_reader, far_writer = await asyncio.open_connection(*address)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pour(reader, far_writer))
            group.create_task(_pour(far_reader, writer))


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()

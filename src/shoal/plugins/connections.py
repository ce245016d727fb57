"""Who is connected: Dask clients of people, as they come and go.

Clients that tasks make on workers are not told: there may be one for each task. A client says its
name (`Client(name=…)`); whose it is, its certificate says, where the connection has one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from .values import Item, moment, text

_NOT_PEOPLE = ("fire-and-forget", "Client-worker-")
_MOST = 1_000  # remembered
_URI = re.compile(r"shoal://client\.[a-z0-9-]+\.shoal/([^/?#]+)")  # shoal/trust/names.py
_UNIQUE = re.compile(r"-*[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


def is_person(client: str) -> bool:
    return not client.startswith(_NOT_PEOPLE)


class Connections:
    def __init__(self, scheduler: Any, tell: Callable[[Item], None]) -> None:
        self._scheduler = scheduler
        self._tell = tell
        self._there: dict[str, Item] = {}

    def came(self, client: str) -> None:
        """Dask knows the connection itself a moment later than it says that a client came."""
        if not is_person(client) or client in self._there or len(self._there) >= _MOST:
            return
        if client not in self._scheduler.clients:
            return  # gone again
        sending = self._scheduler.client_comms.get(client)
        comm = getattr(sending, "comm", None)
        told = {
            "item": "client",
            "at": moment(time.time()),
            "client": text(client),
            "name": text(_UNIQUE.sub("", client).removeprefix("Client").strip("-")),
            "user": text(_user(getattr(comm, "extra_info", None) or {})),
            "address": text(getattr(comm, "peer_address", "")),
            "connected": True,
        }
        self._there[client] = told
        self._tell(told)

    def went(self, client: str) -> None:
        told = self._there.pop(client, None)
        if told is not None:
            self._tell({**told, "at": moment(time.time()), "connected": False})


def _user(extra: Item) -> str:
    names = (extra.get("peercert") or {}).get("subjectAltName", ())
    for kind, name in names:
        found = _URI.fullmatch(name) if kind == "URI" else None
        if found:
            return unquote(found[1])
    return ""

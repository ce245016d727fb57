"""How a session and its cluster part: the server is told, and nobody waits for what has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
from collections.abc import Iterator

import httpx2
import msgspec
from distributed.client import Client

from shoal.client import creation, following
from shoal.client.api import Api
from shoal.client.place import Place
from shoal.errors import ShoalError
from shoal.wire import endpoints
from shoal.wire.requests import StopCluster
from shoal.wire.views import ClusterView

_EXIT_S = 5.0  # for telling the server, when the interpreter ends


async def tell_to_stop(api: Api, view: ClusterView, reason: str) -> None:
    """Warns where the server cannot be told."""
    try:
        await creation.stop(api, view, reason)
    except ShoalError as error:
        warnings.warn(
            f"Cluster {view.name} ({view.id}) could not be told to stop: {error.message}. "
            "It ends by itself when it has no client, or with: "
            f"shoal cluster stop {view.id}",
            stacklevel=3,
        )


def tell_at_exit(place: Place, view: ClusterView) -> None:
    """The interpreter ends: no thread, and so no event loop, can be relied upon any more."""
    path = endpoints.STOP_CLUSTER.path.format(cluster=view.id)
    body = StopCluster(reason="the session that created it ended")
    try:
        httpx2.post(
            place.url + path,
            content=msgspec.json.encode(body),
            headers={"authorization": f"Bearer {place.token}"},
            timeout=_EXIT_S,
            verify=not place.plain,
            trust_env=not place.plain,
        )
    except httpx2.HTTPError:
        return  # the stop rules end it


async def cut_off(client: Client, view: ClusterView) -> None:
    """In the client's loop: it would try to reconnect for half a minute, and then not say why."""
    words = str(following.over(view))
    for state in list(client.futures.values()):
        state.cancel(reason="cluster-ended", msg=words)

    def refuse(message: object) -> None:
        raise following.over(view)

    with _no_word_of_cancellations():
        await client._close(fast=True)
    client._send_to_scheduler = refuse


@contextlib.contextmanager
def _no_word_of_cancellations() -> Iterator[None]:
    """Dask logs, with its traceback, that its attempt to reconnect was cancelled."""

    def other(record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or not issubclass(kind, asyncio.CancelledError)

    logger = logging.getLogger("distributed.client")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)

"""All of what the API gives in pages, one after the other.

Each is an async iterator, so that a reader may stop early and a large answer is never held whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from shoal.client.api import Api
from shoal.wire import endpoints
from shoal.wire.endpoints import ClusterQuery, EventPage, EventQuery, LogQuery, Page
from shoal.wire.events import Event
from shoal.wire.views import ClusterList, ClusterView, InstanceList, InstanceView, LogLine, LogPage

_LIMIT = 1000


async def clusters(api: Api, query: ClusterQuery) -> AsyncIterator[ClusterView]:
    """Newest first."""
    while True:
        page: ClusterList = await api.call(endpoints.CLUSTERS, query=query)
        for view in page.clusters:
            yield view
        if page.next_page is None:
            return
        query = msgspec.structs.replace(query, page=page.next_page)


async def instances(api: Api, cluster: str) -> AsyncIterator[InstanceView]:
    query = Page(limit=_LIMIT)
    while True:
        page: InstanceList = await api.call(
            endpoints.INSTANCES, path={"cluster": cluster}, query=query
        )
        for view in page.instances:
            yield view
        if page.next_page is None:
            return
        query = Page(page=page.next_page, limit=_LIMIT)


async def events(api: Api, cluster: str) -> AsyncIterator[Event]:
    """Those so far, oldest first."""
    query = EventQuery(cluster=cluster, limit=_LIMIT)
    while True:
        page: EventPage = await api.call(endpoints.EVENTS, query=query)
        for event in page.events:
            yield event
        if not page.events:
            return
        query = msgspec.structs.replace(query, after=page.next_after)


async def log_pages(api: Api, cluster: str, query: LogQuery) -> AsyncIterator[LogPage]:
    """Without an end: an empty page says that there is nothing more yet."""
    while True:
        page: LogPage = await api.call(endpoints.LOGS, path={"cluster": cluster}, query=query)
        yield page
        query = msgspec.structs.replace(query, cursor=page.next_cursor)


async def log_lines(api: Api, cluster: str) -> list[LogLine]:
    """All that are kept."""
    lines: list[LogLine] = []
    async for page in log_pages(api, cluster, LogQuery(limit=_LIMIT)):
        if not page.lines:
            break
        lines += page.lines
    return lines

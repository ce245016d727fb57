"""What happens to one cluster for as long as a session holds it: heard, never asked for.

One stream of changes. It costs nothing while nothing happens, and it is how a session learns that
its cluster ended, and why: Dask only sees that nobody answers any more. It starts no server: one
that was stopped on purpose stays stopped, and the cluster goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shoal.client import connection, creation
from shoal.client.api import Api
from shoal.client.place import Place
from shoal.errors import ClusterFailed, ServerFault, ServerUnreachable, ShoalError, StoreFault
from shoal.wire import endpoints
from shoal.wire.endpoints import ChangesQuery
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import EventSeq
from shoal.wire.views import ClusterStatus, ClusterView

OVER = (ClusterStatus.ENDING, ClusterStatus.ENDED, ClusterStatus.FAILED)
_ENDS = (EventKind.CLUSTER_ENDING, EventKind.CLUSTER_ENDED)
_AGAIN_S, _AGAIN_MOST_S = 0.5, 15.0  # between two looks for a server that is away
_AWAY = (ServerUnreachable, ServerFault, StoreFault)


class Following:
    """`heard`: called with each event, and with None where some may have been missed. `hinted`:
    called when there is something new in the record: a computation, an error, a signal."""

    def __init__(
        self,
        view: ClusterView,
        heard: Callable[[Event | None], None],
        *,
        find: Callable[[], Place] = connection.find_running,
        api: Api | None = None,
        hinted: Callable[[], None] = lambda: None,
    ) -> None:
        self._view = view
        self._heard = heard
        self._hinted = hinted
        self._api = api or Api(find)
        self._seen = view.event_seq

    async def until_over(self) -> ClusterView | None:
        """The cluster when nobody wants it any more; None: this session may not look any more."""
        delay_s = _AGAIN_S
        try:
            while True:
                try:
                    await self._until_an_end()
                    return await self._look()
                except _AWAY:
                    await asyncio.sleep(delay_s)
                    delay_s = min(delay_s * 2, _AGAIN_MOST_S)
                except ShoalError:
                    return None
        finally:
            await self._api.aclose()

    async def _until_an_end(self) -> None:
        """What was missed while the server was away is told by the stream too, for it goes on
        after the last event that was seen; a view says at once whether it is over already."""
        if (await self._look()).status in OVER:
            return
        self._heard(None)
        query = ChangesQuery(cluster=self._view.id, after=self._seen, hints=True)
        stream = self._api.stream(endpoints.CHANGES, query=query, hint=self._hinted)
        async for event in stream:
            self._seen = EventSeq(event.seq)
            self._heard(event)
            if event.kind in _ENDS:
                return

    async def _look(self) -> ClusterView:
        found: ClusterView = await self._api.call(
            endpoints.CLUSTER, path={"cluster": self._view.id}
        )
        return found


def over(view: ClusterView) -> ClusterFailed:
    """What whoever uses it afterwards is told."""
    return ClusterFailed(
        f"Cluster {view.name} ({view.id}) has ended: {view.end_reason or view.sentence}",
        hint=f"{creation.where_to_look(view)}; for another one: shoal.Cluster({view.name!r}, …)",
    )

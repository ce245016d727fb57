"""What a notebook shows of a cluster, fresh for as long as somebody looks, and asked for no longer.

Looking is what keeps it going: a widget that is drawn again, a display that stays open. Nobody
looks: nothing is asked. Nothing has changed, as the stream of changes tells (following.py): nothing
is asked either, but for now and then. Between two answers the cost goes on by the price.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable

import msgspec

from shoal.client import progress
from shoal.client.api import Api
from shoal.client.details import Details
from shoal.errors import ShoalError
from shoal.wire.views import ClusterView

EVERY_S = 3.0
AT_LEAST_S = 30.0  # a hint may be lost: another replica of the server heard of it
_LOOKED_S = 10.0  # so long after the last look somebody still looks

Display = Callable[[Details], None]


class Live:
    """Of one cluster. `soon`: to call something in the loop that `keep` runs in, from anywhere."""

    def __init__(
        self,
        api: Api,
        read: Callable[[Api], Awaitable[Details]],
        *,
        soon: Callable[[Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._read_it = read
        self._soon = soon
        self._clock = clock
        self._wake = asyncio.Event()
        self._stale = True  # something has changed since it was read
        self._looked_s = float("-inf")
        self._read: tuple[float, Details] | None = None
        self._displays: list[Display] = []

    def newest(self) -> Details | None:
        """As of now; None: the first answer is on its way."""
        self._looked_s = self._clock()
        self._soon(self._wake.set)
        return self._now()

    def show(self, display: Display) -> None:
        """Now, and whenever there is something newer."""
        self._displays.append(display)
        self._soon(self._wake.set)

    def changed(self) -> None:
        """What was read is of before. Call it in the loop that `keep` runs in."""
        self._stale = True

    async def keep(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._displays or self._clock() - self._looked_s < _LOOKED_S:
                    await self._look()
                    await asyncio.sleep(EVERY_S)
        finally:
            await self._api.aclose()

    async def _look(self) -> None:
        """Ask, if there may be something new."""
        if not self._stale and self._read and self._clock() - self._read[0] < AT_LEAST_S:
            if (found := self._now()) is not None:
                self._tell(found)
            return
        self._stale = False
        try:
            self._take(await self._read_it(self._api))
        except ShoalError:  # the server is away: what was known stays
            self._stale = True

    def over(self, view: ClusterView) -> None:
        """It has ended: the last thing that is shown."""
        if self._read is not None:
            self._take(msgspec.structs.replace(self._read[1], cluster=view))
        self._displays.clear()

    def _take(self, found: Details) -> None:
        self._read = self._clock(), found
        self._tell(found)

    def _tell(self, found: Details) -> None:
        for display in self._displays:
            display(found)

    def _now(self) -> Details | None:
        if self._read is None:
            return None
        at_s, found = self._read
        view = found.cluster
        if view.cost_uusd is None or not view.price_uusd_per_hour or view.ended_at is not None:
            return found
        more = int(view.price_uusd_per_hour * (self._clock() - at_s) / 3600)
        return msgspec.structs.replace(
            found, cluster=msgspec.structs.replace(view, cost_uusd=view.cost_uusd + more)
        )


class LiveDetails(Details, frozen=True):
    """Details that stay fresh where a notebook shows them."""

    live: Live | None = None

    def _ipython_display_(self) -> None:
        if not progress.in_jupyter():
            print(self)
            return
        from IPython.display import HTML, display

        handle = display(HTML(self._repr_html_()), display_id=True)
        context = contextvars.copy_context()  # of this cell: what is sent says whose it is

        def replace(newer: Details) -> None:
            context.run(handle.update, HTML(newer._repr_html_()))

        if self.live is not None:
            self.live.show(replace)

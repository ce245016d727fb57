"""The drivers of what the server does by itself, where any exception is caught (jobs.py too).

A reconciler a cloud: list the cloud now and then, plan and perform whenever something changed, and
every few seconds in any case. The next pass is the retry. A jump of the wall clock is noticed here
and told to the plan, which then believes no absence for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

import httpx2

from shoal.core.records import Listing
from shoal.errors import ShoalError
from shoal.server.desk import Desk
from shoal.server.heads import attend_all
from shoal.server.jobs import repeat
from shoal.server.passes import catalog, forgetting, record, signalling
from shoal.server.passes.accounts import care_for_accounts
from shoal.server.passes.environments import care_for_environments
from shoal.server.passes.export import EVERY_S, Exporter
from shoal.server.passes.reconcile import Reconciler
from shoal.server.passes.watched import care_for_watched
from shoal.store import ledger

_log = logging.getLogger(__name__)

PASS_S = 2.0
CLOCK_JUMP_S = 5.0
ACCOUNTS_S = 5.0
WATCHED_S = 5.0
COMPILE_S = 2.0
BOOK_S = 60.0
_BOOKED_AT_ONCE = 100


async def run(desk: Desk) -> None:
    """Until `desk.stopping`: everything that the server does by itself."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(drive_all(desk)), group.create_task(attend_all(desk))]
        store = desk.settings.state.software_store
        unused_s = desk.settings.environment_days * 86_400.0
        jobs: list[tuple[str, float, Callable[[], Awaitable[None]]]] = [
            ("care for accounts", ACCOUNTS_S, partial(care_for_accounts, desk)),
            ("refresh prices", catalog.EVERY_S, partial(catalog.care_for_catalog, desk)),
            ("book costs", BOOK_S, partial(_book, desk)),
            ("care for watched clusters", WATCHED_S, partial(care_for_watched, desk)),
            ("care for environments", COMPILE_S, partial(care_for_environments, store, unused_s)),
            (
                "forget unused environments",
                forgetting.EVERY_S,
                partial(forgetting.forget_unused, desk),
            ),
            (
                "look for signals",
                signalling.EVERY_S,
                partial(signalling.Pacer().look, desk),
            ),
            *((name, seconds, partial(work, desk)) for name, seconds, work in record.JOBS),
        ]
        tasks += [group.create_task(repeat(desk, *it)) for it in jobs]
        if desk.settings.otlp_endpoint:
            tasks.append(group.create_task(_export(desk, desk.settings.otlp_endpoint)))
        await desk.stopping.wait()
        for task in tasks:
            task.cancel()


async def drive_all(desk: Desk) -> None:
    """Keep one driver for each cloud that is reached."""
    running: dict[Reconciler, asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as group:
        while True:
            seen = desk.wanted.count
            wanted = set(desk.reconcilers.values())
            for gone in running.keys() - wanted:
                running.pop(gone).cancel()
            for new in wanted - running.keys():
                running[new] = group.create_task(Driver(desk, new).drive())
            await desk.wanted.after(seen, timeout_s=PASS_S)


class Driver:
    """Drives one cloud's reconciler."""

    def __init__(self, desk: Desk, reconciler: Reconciler) -> None:
        self._desk = desk
        self._reconciler = reconciler
        self._listing: Listing | None = None
        self._listed_at = float("-inf")  # monotonic
        self.trusted_since = desk.clock()
        self._offset = desk.clock().timestamp() - time.monotonic()

    async def drive(self) -> None:
        while True:
            seen = self._desk.wanted.count
            if await self.drive_once():
                await self._desk.told.ring()
                await self._desk.wanted.ring()
            await self._desk.wanted.after(seen, timeout_s=PASS_S)

    async def drive_once(self) -> bool:
        """Whether the pass changed anything: then the next one follows at once."""
        book, name = self._desk.passes, f"reconcile {self._reconciler.provider.cloud}"
        with book.passing(name, PASS_S):
            try:
                return await self._pass()
            except ShoalError as error:
                book.failed(name, str(error))
                _log.warning("pass: %s", error)
            except Exception as error:
                book.failed(name, f"{type(error).__name__}: the server's log tells more")
                _log.exception("pass failed; the next one starts from the record")
        return False

    async def _pass(self) -> bool:
        self._watch_clock()
        if time.monotonic() - self._listed_at >= self.listing_interval_s():
            await self.list()
        done = await self._reconciler.run_pass(self._listing, self.trusted_since)
        return bool(done)

    async def list(self) -> None:
        """A cloud that does not list can still launch: the last listing stands meanwhile."""
        try:
            self._listing = await self._reconciler.observe()
        except (ShoalError, TimeoutError) as error:
            _log.warning("no listing: %s", error)
        self._listed_at = time.monotonic()

    def listing_interval_s(self) -> float:
        """What a cloud bears, but a listing without lag costs little: it is of this machine."""
        timing = self._reconciler.provider.timing
        count = len(self._listing.vms) if self._listing else 0
        patience_s = timing.listing_s + timing.listing_each_vm_s * count
        return min(patience_s, max(0.5, timing.listing_lag_s + timing.listing_each_vm_s * count))

    def _watch_clock(self) -> None:
        offset = self._desk.clock().timestamp() - time.monotonic()
        if abs(offset - self._offset) > CLOCK_JUMP_S:
            _log.warning(
                "the clock jumped by %.0f s; no absence is believed for a while",
                offset - self._offset,
            )
            self.trusted_since = self._desk.clock()
            self._listing, self._listed_at = None, float("-inf")
        self._offset = offset


async def _book(desk: Desk) -> None:
    """A few at a time: others want to write too."""
    booked = _BOOKED_AT_ONCE
    while booked == _BOOKED_AT_ONCE:
        booked = await desk.database.run(ledger.book, desk.clock(), _BOOKED_AT_ONCE)


async def _export(desk: Desk, endpoint: str) -> None:
    exporter = Exporter(endpoint, desk.installation, desk.database)
    async with httpx2.AsyncClient(timeout=10.0) as client:
        await repeat(
            desk, "export telemetry", EVERY_S, lambda: exporter.export(desk.clock(), client)
        )

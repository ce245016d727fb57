"""What a notebook shows changes while it is looked at, and asks nothing afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fake_server import CLUSTER, NOW, FakeServer, view
from virtual_time import run

from shoal.client import details
from shoal.client.details import Details
from shoal.client.live import AT_LEAST_S, EVERY_S, Live
from shoal.errors import ServerFault
from shoal.wire import endpoints
from shoal.wire.telemetry import (
    ComputationList,
    ExceptionList,
    Severity,
    Signal,
    SignalKind,
    SignalList,
    SignalView,
    Telemetry,
)
from shoal.wire.views import ClusterStatus, WorkerCounts

SPILLING = SignalView(
    CLUSTER,
    Signal(
        next(iter(SignalKind)),
        Severity.WARNING,
        "Workers are spilling",
        "2 of 2 wrote 3 GiB to disk.",
        "Ask for more memory: worker_memory.",
        "worker_memory",
        NOW,
        NOW,
    ),
    NOW,
    NOW,
    active=True,
)


def answering(server: FakeServer) -> None:
    """Each look finds one worker more, and from the second on a signal."""
    looks = iter(range(1, 1000))

    def cluster(call: object) -> object:
        ready = next(looks)
        counts = WorkerCounts(wanted=1000, launching=0, preparing=1, ready=ready, draining=0)
        server.on(endpoints.SIGNALS, lambda call: SignalList((SPILLING,) if ready > 1 else ()))
        return view(
            ClusterStatus.SCALING,
            workers=counts,
            cost_uusd=1_000_000,
            price_uusd_per_hour=3_600_000,
        )

    server.on(endpoints.CLUSTER, cluster)
    server.on(endpoints.COMPUTATIONS, lambda call: ComputationList(()))
    server.on(endpoints.EXCEPTIONS, lambda call: ExceptionList(()))
    server.on(endpoints.TELEMETRY, lambda call: Telemetry(0, 0, 0, 0, 1234, 2, forgotten=5))


def living(server: FakeServer, look: Callable[[Live], Any]) -> None:
    answering(server)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        live = Live(
            server.api(),
            lambda api: details.of_cluster(api, CLUSTER),
            soon=loop.call_soon_threadsafe,
            clock=loop.time,
        )
        keeping = asyncio.ensure_future(live.keep())
        await look(live)
        keeping.cancel()

    run(work())


def test_stages_signals_and_cost_change_while_it_is_looked_at(server: FakeServer) -> None:
    async def look(live: Live) -> None:
        assert live.newest() is None
        await asyncio.sleep(1.0)
        first = live.newest()
        assert first is not None
        assert "1 of 1000 ready, 1 preparing" in first.summary_html()
        assert "$1.00 so far, $3.60 an hour" in first.summary_html()
        assert "lacks 1,234 items and 2 lines" in first.summary_html()
        assert "lacks 1,234 items and 2 lines" in str(first)
        assert "5 items and 0 lines of the log went before their time" in str(first)
        await asyncio.sleep(EVERY_S - 1.1)
        later = live.newest()
        assert later is not None
        assert (later.cluster.cost_uusd or 0) > 1_001_000  # by the price, before the next answer
        live.changed()
        await asyncio.sleep(1.0)
        last = live.newest()
        assert last is not None
        assert "2 of 1000 ready" in last.summary_html()
        assert "WARNING: Workers are spilling" in last.summary_html()
        assert "worker_memory" in last.summary_html()

    living(server, look)


def test_nothing_is_asked_when_nobody_looks(server: FakeServer) -> None:
    async def look(live: Live) -> None:
        await asyncio.sleep(60.0)
        assert not server.calls
        live.newest()
        await asyncio.sleep(3600.0)
        asked = len(server.asked(endpoints.CLUSTER))
        assert asked == 1
        live.newest()
        await asyncio.sleep(1.0)
        assert len(server.asked(endpoints.CLUSTER)) == asked + 1

    living(server, look)


def test_nothing_is_asked_while_nothing_changes_and_the_cost_goes_on(server: FakeServer) -> None:
    shown: list[Details] = []

    async def look(live: Live) -> None:
        live.show(shown.append)
        await asyncio.sleep(AT_LEAST_S - 1)
        assert len(server.asked(endpoints.TELEMETRY)) == 1
        costs = [it.cluster.cost_uusd or 0 for it in shown]
        assert len(costs) > 5
        assert costs == sorted(set(costs))
        live.changed()
        await asyncio.sleep(EVERY_S)
        assert len(server.asked(endpoints.TELEMETRY)) == 2
        assert shown[-1].cluster.workers.ready == 2
        await asyncio.sleep(4 * AT_LEAST_S)  # a hint may be lost
        assert 5 <= len(server.asked(endpoints.TELEMETRY)) <= 6

    living(server, look)


def test_a_server_that_is_away_is_asked_again(server: FakeServer) -> None:
    async def look(live: Live) -> None:
        server.on(endpoints.TELEMETRY, away)
        live.newest()
        await asyncio.sleep(EVERY_S / 2)
        assert live.newest() is None
        server.on(endpoints.TELEMETRY, lambda call: Telemetry(0, 0, 0, 0, 0, 0))
        await asyncio.sleep(EVERY_S)
        assert live.newest() is not None

    living(server, look)


def away(call: object) -> object:
    raise ServerFault("the server is being restarted")


def test_what_is_displayed_is_replaced_until_it_is_over(server: FakeServer) -> None:
    shown: list[Details] = []

    async def look(live: Live) -> None:
        live.show(shown.append)
        await asyncio.sleep(60.0)
        assert len(shown) > 10
        assert shown[0].cluster.workers.ready < shown[-1].cluster.workers.ready
        live.over(view(ClusterStatus.ENDED, sentence="ended: enough"))
        assert "ended: enough" in shown[-1]._repr_html_()
        await asyncio.sleep(60.0)
        assert "ended: enough" in shown[-1]._repr_html_()

    living(server, look)

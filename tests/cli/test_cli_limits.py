"""`shoal limits`: what is sent, and how the answer reads."""

from __future__ import annotations

import json

import msgspec
import pytest
from fake_server import FakeServer, view
from running import Shoal

from shoal.wire import endpoints
from shoal.wire.ids import UserName, WorkspaceName
from shoal.wire.limits import (
    EACH,
    WHOLE,
    ChangeLimits,
    InUse,
    LimitName,
    Limits,
    LimitsOf,
    LimitsView,
)
from shoal.wire.views import ClusterList

USE = InUse(1, 12, 48, 0, 3_000_000, 0, 82_000_000)
FOUND = LimitsView(
    WorkspaceName("team"),
    (
        LimitsOf(WHOLE, Limits(workers=20, budget_uusd=100_000_000), USE, ("80 % are spent.",)),
        LimitsOf(EACH, Limits(lifetime_s=28_800.0), InUse()),
        LimitsOf(UserName("ada"), Limits(lifetime_s=28_800.0), USE),
    ),
    900.0,
)


@pytest.fixture(autouse=True)
def _limits(server: FakeServer) -> None:
    server.on(endpoints.LIMITS, lambda call: FOUND)
    server.on(endpoints.CHANGE_LIMITS, lambda call: FOUND)


def sent(server: FakeServer) -> ChangeLimits:
    [call] = server.asked(endpoints.CHANGE_LIMITS)
    return msgspec.json.decode(call.body, type=ChangeLimits)


def test_limits_are_shown_with_what_is_in_use_and_left(shoal: Shoal) -> None:
    ran = shoal("limits", "show")
    rows = [line.split("  ") for line in ran.out.splitlines()]
    table = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert ["workspace team", "workers", "20", "12", "8"] in table
    assert ["workspace team", "budget of the month", "$100.00", "$82.00", "$18.00"] in table
    assert ["workspace team", "vCPUs", "no limit", "48"] in table
    assert ["each user", "lifetime of a cluster", "8 h"] in table
    assert "80 % are spent." in ran.err


def test_one_users_are_shown_alone_and_as_json(shoal: Shoal) -> None:
    found = json.loads(shoal("limits", "show", "--user", "ada", "--json").out)
    assert [it["user"] for it in found["held"]] == ["ada"]


def test_only_what_is_named_is_changed(shoal: Shoal, server: FakeServer) -> None:
    arguments = ("--user", "ada", "--workers", "20", "--price", "2.5", "--lifetime", "8 h")
    assert shoal("limits", "set", *arguments, "--why", "her thesis").status == 0
    assert sent(server) == ChangeLimits(
        Limits(workers=20, price_uusd_per_hour=2_500_000, lifetime_s=28_800.0),
        user=UserName("ada"),
        why="her thesis",
    )


def test_clearing_takes_away_what_is_named_or_all(shoal: Shoal, server: FakeServer) -> None:
    shoal("limits", "clear", "workers", "budget")
    assert sent(server).clear == (LimitName.WORKERS, LimitName.BUDGET)
    server.calls.clear()
    shoal("limits", "clear")
    assert sent(server).clear == tuple(LimitName)


def test_a_time_that_is_none_is_a_clear_error(shoal: Shoal) -> None:
    ran = shoal("limits", "set", "--lifetime", "soon")
    assert ran.status == 2
    assert "'8 h'" in ran.err


def test_a_list_of_clusters_tells_of_the_budget(shoal: Shoal, server: FakeServer) -> None:
    server.on(endpoints.CLUSTERS, lambda call: ClusterList((view(),)))
    assert "80 % are spent." in shoal("cluster", "list").err

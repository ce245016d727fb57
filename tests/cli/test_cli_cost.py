"""`shoal cost --by …`: the report in columns, CSV and JSON, and what a time span means."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from fake_server import FakeServer
from running import Shoal

from shoal.cli.cost import moment
from shoal.wire import endpoints
from shoal.wire.views import CostReport, CostShare

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LINES = (
    CostShare("team=red", 12_340_000, 7200.0, clusters=2),
    CostShare("(none)", 0, 3600.0, unpriced_s=3600.0, clusters=1),
)
REPORT = CostReport("tag", NOW, NOW, 12_340_000, 3600.0, LINES, (), 20_000_000, 30_000_000, 7)


@pytest.fixture(autouse=True)
def _costs(server: FakeServer) -> None:
    server.on(endpoints.COSTS, lambda call: REPORT)


def test_people_get_columns_and_a_total(shoal: Shoal, server: FakeServer) -> None:
    ran = shoal("cost", "--by", "tag", "--since", "2026-11-01")
    assert ran.status == 0
    assert "team=red  2.00      $12.34" in ran.out
    assert "1.00 VM hours without a known price" in ran.out
    assert "Total since 2026-11-23: $12.34" in ran.out
    assert "$20.00 so far, $30.00 expected" in ran.out
    [call] = server.asked(endpoints.COSTS)
    assert call.query == {"by": "tag", "since": "2026-11-01T00:00:00Z"}


def test_programs_get_csv_or_json(shoal: Shoal) -> None:
    rows = list(csv.DictReader(io.StringIO(shoal("cost", "--by", "tag", "--csv").out)))
    assert [(it["key"], it["usd"], it["vm_hours"]) for it in rows] == [
        ("team=red", "12.340000", "2.00"),
        ("(none)", "0.000000", "1.00"),
    ]
    assert json.loads(shoal("cost", "--by", "tag", "--json").out)["month_uusd"] == 20_000_000


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30d", datetime(2026, 10, 24, 12, tzinfo=UTC)),
        ("12h", datetime(2026, 11, 23, 0, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_a_time_span_or_a_date(text: str, meant: datetime) -> None:
    assert moment(text, NOW) == meant


@pytest.mark.parametrize("wrong", ["", "d", "30", "x", "99999999999d", "-3d"])
def test_anything_else_is_a_mistake_with_an_example(shoal: Shoal, wrong: str) -> None:
    ran = shoal("cost", "--by", "day", "--since", wrong)
    assert ran.status == 2
    assert "as 30d, 12h or 2026-11-01" in ran.err


def test_a_cluster_and_a_way_are_not_asked_for_together(shoal: Shoal) -> None:
    ran = shoal("cost", "mine", "--by", "day")
    assert ran.status == 2
    assert "not both" in ran.err

"""The dashboard that people import asks for nothing that `/metrics` does not tell."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.server.conftest import Served
from tests.server.test_metrics import scraped

DASHBOARD = Path(__file__).parents[2] / "docs/how-to/grafana-dashboard.json"
REFERENCE = Path(__file__).parents[2] / "docs/reference/metrics.md"


def told(served: Served) -> set[str]:
    answer = scraped(served, served.token("prometheus", "research", "metrics")).text
    return set(re.findall(r"^# TYPE (\w+)", answer, re.MULTILINE))


def test_every_number_of_the_dashboard_is_there(served: Served) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {name for it in panels for name in re.findall(r"shoal_\w+", json.dumps(it["targets"]))}
    assert asked
    assert asked <= told(served)


def test_every_number_is_documented(served: Served) -> None:
    assert set(re.findall(r"`(shoal_\w+)`", REFERENCE.read_text())) == told(served)

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
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)", answer, re.MULTILINE))
    return {
        name if kind != "histogram" else f"{name}{suffix}"
        for name, kind in kinds.items()
        for suffix in ("_bucket", "_sum", "_count")
    }


def test_every_number_of_the_dashboard_is_there(served: Served) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {name for it in panels for name in re.findall(r"shoal_\w+", json.dumps(it["targets"]))}
    assert asked
    assert asked <= told(served)


def test_every_number_is_documented(served: Served) -> None:
    parts = re.compile(r"(shoal_request_seconds)_\w+")
    names = {parts.sub(r"\1", it) for it in told(served)}
    assert set(re.findall(r"`(shoal_\w+)`", REFERENCE.read_text())) == names


# Fields as Grafana documents them: "Dashboard JSON model", classic (checked 2026-11-26).
FIELDS = {
    "id", "uid", "title", "tags", "timezone", "editable", "graphTooltip", "panels", "time",
    "timepicker", "templating", "annotations", "refresh", "schemaVersion", "version", "links",
}  # fmt: skip
VARIABLE = {
    "name", "type", "label", "query", "datasource", "refresh", "includeAll", "multi", "allValue",
    "current",
}  # fmt: skip
PANEL = {"id", "type", "title", "datasource", "gridPos", "fieldConfig", "targets"}
WIDTH = 24  # columns of a dashboard


def test_the_dashboard_has_the_form_that_grafana_documents() -> None:
    made = json.loads(DASHBOARD.read_text())
    assert made.keys() <= FIELDS
    assert 8 <= len(made["uid"]) <= 40
    assert isinstance(made["title"], str)
    assert isinstance(made["schemaVersion"], int)
    assert made["time"].keys() == {"from", "to"}
    variables = {it["name"]: it for it in made["templating"]["list"]}
    for it in variables.values():
        assert it.keys() <= VARIABLE
        assert it["type"] in ("query", "datasource")
        assert it.get("refresh", 0) in (0, 1, 2)
    for it in made["panels"]:
        assert it.keys() == PANEL, it["title"]
        assert it["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert it["fieldConfig"].keys() == {"defaults", "overrides"}
        refs = [target["refId"] for target in it["targets"]]
        assert refs == sorted(set(refs))
        for target in it["targets"]:
            assert target.keys() == {"refId", "expr", "legendFormat"}
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables.keys()
            for opened, closed in ("()", "{}", "[]"):
                assert target["expr"].count(opened) == target["expr"].count(closed)


def test_no_two_panels_share_an_id_or_a_place() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({it["id"] for it in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for it in panels:
        place = it["gridPos"]
        assert place.keys() == {"x", "y", "w", "h"}
        assert place["x"] + place["w"] <= WIDTH
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, it["title"]
        taken |= cells

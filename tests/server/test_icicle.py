"""Where the time went, nested: each cell lies below what it is a part of, to scale."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.server.pages.icicle import Cell, icicle
from shoal.wire.ids import ClusterId, WorkspaceName
from shoal.wire.telemetry import TaskGroupSample
from tests.browser import seeded_record
from tests.server.browsing import Browser, Inline, a_cluster
from tests.server.conftest import Served


def group(name: str, compute_s: float = 0.0, **others: float) -> TaskGroupSample:
    return TaskGroupSample("c", name, name.partition("-")[0], compute_s=compute_s, **others)


GROUPS = [
    group("sum-1", 5.0, transfer_s=1.0),
    group("sum-2", 1.0, disk_read_s=1.0),
    group("read-1", 2.0),
]


def drawn(cells: tuple[Cell, ...]) -> list[tuple[int, str, float, float]]:
    return [(it.depth, it.name, it.x, it.width) for it in cells]


def test_names_hang_below_the_computation_and_what_was_done_below_them() -> None:
    found = icicle(GROUPS)
    assert found.depth == 3
    assert drawn(found.cells) == [
        (0, "all tasks", 0, 100),
        (1, "sum", 0.0, 80.0),
        (2, "computing", 0.0, 60.0),
        (2, "moving data", 60.0, 10.0),
        (2, "reading spilled data", 70.0, 10.0),
        (1, "read", 80.0, 20.0),
        (2, "computing", 80.0, 20.0),
    ]
    assert [it.opens for it in found.cells if it.depth == 1] == ["sum", "read"]
    words = (
        "sum: 8.0 s, 80 % of all; computing 6.0 s, moving data 1.0 s, reading spilled data 1.0 s"
    )
    assert found.cells[1].words == words


def test_a_name_opens_into_its_groups_and_leads_back() -> None:
    found = icicle(GROUPS, "sum")
    assert found.depth == 4
    assert drawn(found.cells)[:4] == [
        (0, "all tasks", 0, 100),
        (1, "sum", 0, 100),
        (2, "sum-1", 0.0, 75.0),
        (3, "computing", 0.0, 62.5),
    ]
    assert (found.cells[0].opens, found.cells[0].seconds) == ("", 10.0)


def test_what_is_too_narrow_to_see_is_told_together() -> None:
    small = [group(f"small{n}-1", 0.01) for n in range(50)]
    found = icicle([group("big-1", 1000.0), *small, group("none-1")])
    [rest] = [it for it in found.cells if it.depth == 1 and it.name != "big"]
    assert (rest.name, rest.opens) == ("50 more", None)
    assert rest.seconds == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("width", "label", "slim"),
    [
        (60, "moving data 1.0 s", False),
        (30, "moving data 1.0 s", True),
        (8, "moving data", True),
        (3, "", False),  # nothing to hide
    ],
)
def test_a_cell_says_what_there_is_room_for(width: float, label: str, slim: bool) -> None:
    cell = Cell(2, "moving data", 1.0, 0, width, "")
    assert (cell.label, cell.slim) == (label, slim)


@pytest.mark.parametrize("groups", [[], [group("read-1")]])
def test_where_no_time_is_on_record_nothing_is_drawn(groups: list[TaskGroupSample]) -> None:
    assert icicle(groups).cells == ()
    assert icicle(groups, "read").cells == ()


_times = st.floats(0, 1e6, allow_nan=False)


@given(st.lists(st.tuples(st.integers(0, 9), _times, _times), max_size=40))
def test_every_row_is_full_and_no_part_leaves_what_it_is_a_part_of(
    drawn: list[tuple[int, float, float]],
) -> None:
    groups = [
        group(f"p{which}-{n}", compute_s, transfer_s=transfer_s)
        for n, (which, compute_s, transfer_s) in enumerate(drawn)
    ]
    found = icicle(groups)
    for depth in range(found.depth):
        row = [it for it in found.cells if it.depth == depth]
        assert sum(it.width for it in row) == pytest.approx(100, abs=0.1)
        assert sum(it.seconds for it in row) == pytest.approx(found.cells[0].seconds)
        ends = [it.x + it.width for it in row]
        assert [it.x for it in row[1:]] == pytest.approx(ends[:-1], abs=0.1)


def test_the_drawing_is_reached_by_links_and_has_a_table(served: Served) -> None:
    token = served.token("ada", "research", "clusters")
    id = ClusterId(a_cluster(served, token))
    real = served.desk.clock
    served.desk.clock = lambda: real() + timedelta(minutes=3)
    workspace, now = WorkspaceName("research"), served.desk.clock()
    asyncio.run(seeded_record.fill(served.desk.database, workspace, id, now, minutes=3))
    browser, base = Browser(served), f"/clusters/{id}/computations/comp-4"
    browser.log_in(token)
    page = browser.get(base).text
    assert f'href="{base}?prefix=groupby-mean#time" aria-label="groupby-mean: ' in page
    opened = browser.get(f"{base}?prefix=groupby-mean").text
    assert f'href="{base}#time" aria-label="all tasks: ' in opened
    inline = Inline()
    inline.feed(opened)
    assert inline.found == []
    assert browser.get(f"{base}?prefix=nothing").status_code == 404

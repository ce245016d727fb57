"""docs/concepts/loop.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from shoal.core.lifecycle import EDGES
from tests.kill.matrix import WEATHERS
from tests.kill.stories import STORIES

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "loop.md"


def test_the_page_shows_the_edges_of_an_instances_life() -> None:
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {(before, after): why for before, after, why in rows if before != "from"}
    assert told == {(str(before), str(after)): why for (before, after), why in EDGES.items()}


def test_the_page_counts_stories_and_weathers() -> None:
    words = {12: "twelve", 18: "eighteen"}
    text = PAGE.read_text("utf-8")
    assert f"{words[len(STORIES)]} stories" in text
    assert f"{words[len(WEATHERS)]} kinds of weather" in text


def test_the_files_that_the_page_points_to_exist() -> None:
    links = re.findall(r"\]\((\.\./[^)]+)\)", PAGE.read_text("utf-8"))
    assert links
    assert [it for it in links if not (PAGE.parent / it).exists()] == []

"""Each story is told as it is in its file. After a change that is meant: python -m tests.stories"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stories.told import TOLD, Told
from tests.stories.transcript import transcript

HERE = Path(__file__).parent


@pytest.mark.parametrize("told", TOLD, ids=lambda it: it.file)
def test_a_story_goes_as_it_is_told(told: Told) -> None:
    assert transcript(told) == (HERE / told.file).read_text(encoding="utf-8")


def test_every_transcript_is_of_a_story() -> None:
    assert {it.name for it in HERE.glob("*.txt")} == {it.file for it in TOLD}

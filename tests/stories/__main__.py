"""`python -m tests.stories` tells all stories again. Read the differences before committing."""

from __future__ import annotations

from pathlib import Path

from tests.stories.told import TOLD
from tests.stories.transcript import transcript

for told in TOLD:
    (Path(__file__).parent / told.file).write_text(transcript(told), encoding="utf-8")

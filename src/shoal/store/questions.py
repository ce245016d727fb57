"""Which questions only read.

Such a question waits for no writer and no writer for it, and all that it reads is of one moment.
Every other question takes the writers' turn (database.py). The mark is on the question, so that
whoever asks need not know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Question = TypeVar("Question", bound=Callable[..., Any])

_MARK = "__only_reads__"


def reading(question: Question) -> Question:
    """It writes nothing; if it does, it fails, and nothing is kept of it."""
    setattr(question, _MARK, True)
    return question


def only_reads(question: Callable[..., Any]) -> bool:
    return getattr(question, _MARK, False)

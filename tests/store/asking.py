"""Asking a database from a test that is no coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from shoal.store.database import Database


def ask(database: Database, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return asyncio.run(database.run(question, *args, **kwargs))


def ask_samples(database: Database, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return asyncio.run(database.run_samples(question, *args, **kwargs))


def ask_inside(database: Database, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """From within another question: the database must be opened `inline`."""
    coroutine = database.run(question, *args, **kwargs)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("an inline question does not wait")

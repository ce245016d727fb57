"""What tasks raised: told once in full for each kind, then counted.

A graph may fail in a million tasks for one reason, so exceptions are of one kind when their type,
the task's prefix and the last line of their traceback are the same. Tasks that are tried again are
seen here too, though Dask itself forgets their exception.
"""

from __future__ import annotations

import hashlib
from typing import Any

from .values import LONG, MESSAGE, Item, moment, text

_MOST_KINDS = 500  # remembered; a later one of a forgotten kind counts anew


class Failures:
    def __init__(self) -> None:
        self._kinds: dict[str, Item] = {}
        self._changed: dict[str, Item] = {}

    def note(self, failed: Failed, now: float) -> None:
        type_, message = _split(failed.exception)
        place = failed.traceback.strip().rpartition("\n")[2]
        parts = (failed.computation, type_, failed.prefix, place)
        id = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:20]
        known = self._kinds.get(id)
        if known is None:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.pop(next(iter(self._kinds)))
            known = _told(id, failed, type_, message, now)
        self._kinds[id] = self._changed[id] = {
            **known,
            "last_at": moment(now),
            "count": known["count"] + 1,
            "retried": known["retried"] + failed.retried,
        }

    def changed(self) -> list[Item]:
        told, self._changed = list(self._changed.values()), {}
        return told

    def worth_telling(self) -> bool:
        return any(it["count"] == 1 for it in self._changed.values())


class Failed:
    """One task's failure, in words that need not be JSON yet."""

    def __init__(
        self,
        *,
        computation: str,
        key: Any,
        prefix: str,
        worker: str,
        exception: str,
        traceback: str,
        retried: bool,
    ) -> None:
        self.computation = computation
        self.key = key
        self.prefix = prefix
        self.worker = worker
        self.exception = exception
        self.traceback = traceback
        self.retried = retried


def _split(exception: str) -> tuple[str, str]:
    """`ValueError('no')`, as Dask writes it, into its type and its message."""
    name, bracket, rest = exception.partition("(")
    if not bracket or not name.replace(".", "").replace("_", "").isalnum():
        return "Exception", exception
    message = rest.removesuffix(")")
    if len(message) > 1 and message[0] == message[-1] and message[0] in "'\"":
        message = message[1:-1]
    return name, message


def _told(id: str, failed: Failed, type_: str, message: str, now: float) -> Item:
    return {
        "item": "exception",
        "id": id,
        "computation": failed.computation,
        "at": moment(now),
        "last_at": moment(now),
        "count": 0,
        "type": text(type_),
        "message": text(message, MESSAGE),
        "traceback": text(failed.traceback, LONG, keep_end=True),
        "key": text(failed.key),
        "prefix": text(failed.prefix),
        "worker": text(failed.worker),
        "retried": 0,
    }

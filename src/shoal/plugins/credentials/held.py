"""Credentials in memory. They travel as plain values, so each place that shows values must not.

`Held` shows whose they are and until when. Dask logs whole messages at level DEBUG, hence `quiet`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]

TAKE, WITHDRAW, KNOWN = "shoal_credentials", "shoal_credentials_withdraw", "shoal_credentials_known"
WANT, WANTED = "shoal_credentials_want", "shoal_credentials_wanted"

CLOUDS = ("aws", "gcp", "azure")


class Held:
    """One cloud's, of one session. `content` is as shoal.client.credentials makes it."""

    __slots__ = ("cloud", "content", "expires_at", "identity")

    def __init__(
        self, cloud: str, identity: str, expires_at: float, content: dict[str, Any]
    ) -> None:
        self.cloud = cloud
        self.identity = identity
        self.expires_at = expires_at  # seconds since 1970
        self.content = content

    def __repr__(self) -> str:
        until = datetime.fromtimestamp(self.expires_at, UTC)
        return f"<{self.cloud}: {self.identity}, until {until:%Y-%m-%d %H:%M} UTC>"

    def valid(self, now: float) -> bool:
        return now < self.expires_at


def read(messages: list[Message]) -> list[Held]:
    """What is of no known cloud is left out: another version may send more."""
    return [
        Held(it["cloud"], str(it["identity"]), float(it["expires_at"]), dict(it["content"]))
        for it in messages
        if it["cloud"] in CLOUDS
    ]


def written(held: Held) -> Message:
    return {
        "cloud": held.cloud,
        "identity": held.identity,
        "expires_at": held.expires_at,
        "content": held.content,
    }


def quiet(logger: str = "distributed.core") -> None:
    """Keep messages that hold credentials out of Dask's log (`Server.handle_comm`, 2026.8)."""
    logging.getLogger(logger).addFilter(_without_values)


def _without_values(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(_shown(it) for it in record.args)
    return True


def _shown(it: object) -> object:
    if isinstance(it, dict) and it.get("op") == TAKE:
        return {"op": TAKE, "held": "…"}
    return it

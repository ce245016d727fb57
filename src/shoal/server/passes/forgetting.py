"""Wheels that no cluster has used for a while go, and, much later, the environments themselves.

Each edit of a project makes another wheel, so they would fill the disk for ever. A lock is small,
and tells later what a past cluster ran: it stays as long as the history does. A wheel that went is
asked for again when its environment is: the client makes and uploads it anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from shoal.server.desk import Desk
from shoal.store import environments
from shoal.wire.ids import WorkspaceName
from shoal.wire.state_directory import StateDirectory

EVERY_S = 3600.0
_log = logging.getLogger(__name__)


class Wheels(msgspec.Struct, frozen=True):
    """What there is, or what went."""

    count: int
    bytes: int


async def forget_unused(desk: Desk) -> None:
    now, settings, run = desk.clock(), desk.settings, desk.database.run
    await run(environments.mark_used, now)
    since = now - timedelta(days=settings.environment_days)
    used = await run(environments.wheels_used_since, since)
    gone = await asyncio.to_thread(_remove, settings.state, used, since)
    forgotten = await run(environments.forget, now - timedelta(days=settings.history_days))
    if gone.count or forgotten:
        _log.info(
            "unused for long: %d wheels (%d bytes) and %d environments went",
            gone.count,
            gone.bytes,
            forgotten,
        )


def kept(state: StateDirectory) -> Wheels:
    sizes = [it.stat().st_size for it in _files(state.wheels)]
    return Wheels(len(sizes), sum(sizes))


def _remove(
    state: StateDirectory, used: Mapping[WorkspaceName, Collection[str]], before: datetime
) -> Wheels:
    """Those that were uploaded or asked for since stay too: their environment may be on its way."""
    wanted = {state.wheels_of(workspace) / it for workspace in used for it in used[workspace]}
    count = size = 0
    for wheel in _files(state.wheels):
        told = wheel.stat()
        if wheel not in wanted and told.st_mtime < before.timestamp():
            wheel.unlink()
            count, size = count + 1, size + told.st_size
    return Wheels(count, size)


def _files(wheels: Path) -> Iterator[Path]:
    """Half-uploaded ones, and those of older versions, too."""
    return (it for it in list(wheels.rglob("*")) if it.is_file())

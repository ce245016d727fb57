"""What the server does again and again beside reconciling: its failures are told, and it goes on.

Any exception is caught here, as in the reconcilers' driver (loop.py): a full disk or a bug in one
job must not end the server that looks after everybody's VMs. The first failure of a job is an alarm
that people see (the machinery's page, the log, an event); while it goes on failing it is tried less
often. The next pass is the retry.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable

from shoal.errors import ShoalError
from shoal.server.desk import Desk
from shoal.store import events
from shoal.wire.events import Event, EventKind

_log = logging.getLogger(__name__)

MOST_DELAY_S = 60.0  # between two attempts of a job that fails, unless it is rarer anyway

_ROOM = (errno.ENOSPC, errno.EDQUOT)


async def repeat(
    desk: Desk, name: str, seconds: float, work: Callable[[], Awaitable[None]]
) -> None:
    """Until it is cancelled."""
    failed, alarmed = 0, False
    while True:
        with desk.passes.passing(name, seconds):
            problem = await _problem(name, work)
            if problem:
                desk.passes.failed(name, problem)
        failed = failed + 1 if problem else 0
        alarmed = bool(problem) and (alarmed or await alarm(desk, name, problem))
        await asyncio.sleep(min(seconds * 2 ** min(failed, 10), max(seconds, MOST_DELAY_S)))


async def _problem(name: str, work: Callable[[], Awaitable[None]]) -> str:
    """Empty: it went well."""
    try:
        await work()
    except ShoalError as error:
        _log.warning("%s: %s", name, error)
        return str(error)
    except Exception as error:
        _log.exception("%s failed; it is tried again", name)
        return in_words(error)
    return ""


def in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _ROOM:
        return f"No space is left on the disk ({error.filename or error.strerror}). Free some."
    return f"{type(error).__name__}: {error}. The server's log tells more."


async def alarm(desk: Desk, name: str, problem: str) -> bool:
    """Whether it is on record: a store that fails cannot take it, and is asked again."""
    now = desk.clock()
    why = f"The server failed to {name}: {problem}"
    try:
        await desk.database.run(events.append, Event(now, EventKind.ALARM, "server", why))
    except ShoalError as error:
        _log.warning("this is not on record: %s", error)
        return False
    await desk.told.ring()
    return True

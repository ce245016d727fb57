"""What happened, as a list and as a stream."""

from __future__ import annotations

import msgspec

from shoal.wire import events
from shoal.wire.endpoints.kinds import MISSING, Cursor, Endpoint, Limit


class EventQuery(msgspec.Struct, frozen=True):
    cluster: str | None = None
    after: Cursor = 0  # events with a greater seq
    limit: Limit = 1000


class ChangesQuery(msgspec.Struct, frozen=True):
    cluster: str | None = None
    after: Cursor | None = None  # None: from now on
    # Of one cluster: a word besides (`event: record`) when there is news in its record.
    hints: bool = False


class EventPage(msgspec.Struct, frozen=True):
    events: tuple[events.Event, ...]
    next_after: int


EVENTS = Endpoint(
    "events",
    "GET",
    "/v1/events",
    "Events of the workspace or of one cluster, oldest first",
    "clusters",
    EventPage,
    query=EventQuery,
    problems=MISSING,
)

CHANGES = Endpoint(
    "changes",
    "GET",
    "/v1/changes",
    "Events as they happen",
    "clusters",
    events.Event,
    query=ChangesQuery,
    stream=True,
    problems=MISSING,
)

"""What an endpoint is, and what queries and answers of several resources share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from shoal import errors

Limit = Annotated[int, msgspec.Meta(ge=1, le=10_000)]

Cursor = Annotated[int, msgspec.Meta(ge=0, le=2**53)]

Instant = Annotated[datetime, msgspec.Meta(tz=True)]  # without a zone nobody knows which it is

Positive = Annotated[int, msgspec.Meta(gt=0, le=2**53)]


class Page(msgspec.Struct, frozen=True):
    """`page` is what the previous answer called `next_page`."""

    page: str | None = None
    limit: Limit = 100


class Nothing(msgspec.Struct, frozen=True):
    """An empty answer."""


class Endpoint(msgspec.Struct, frozen=True):
    name: str
    method: str
    path: str
    summary: str
    scope: str  # what a token must carry: "clusters", "admin"; "" for everyone
    answer: Any  # the type of the answer
    body: Any = None  # the type of the request's body; bytes for a file
    query: Any = None
    status: int = 200
    stream: bool = False  # server-sent events, each a JSON `answer`
    problems: tuple[type[errors.ShoalError], ...] = ()


EVERYWHERE = (
    errors.NotLoggedIn,
    errors.NotAllowed,
    errors.InvalidRequest,
    errors.StoreFault,
)

MISSING = (errors.NotFound,)

"""What a list is asked for in its URL: so that every view can be sent, and none is a dead end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from shoal.errors import InvalidRequest
from shoal.server.pages.frame import Visit
from shoal.wire.endpoints import ClusterQuery
from shoal.wire.views import ClusterOrder, ClusterPhase

SPANS: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "365d": timedelta(days=365),
}
_MAX = 200  # characters of a parameter

A = TypeVar("A", bound=msgspec.Struct)


def asked(visit: Visit, kind: type[A]) -> A:
    """Its fields from the URL, all of them text; what is not known is left aside."""
    names = {it.encode_name for it in _fields(kind)}
    given = {k: v.strip() for k, v in visit.request.query_params.items() if k in names}
    if any(len(it) > _MAX or "\0" in it for it in given.values()):
        raise InvalidRequest("A part of the address is too long, or no text.")
    return msgspec.convert(given, kind)


def url(asked: msgspec.Struct, **changes: str | None) -> str:
    """The query string of the same view, but for the changes; what is as always is left out."""
    values = msgspec.structs.asdict(asked) | changes
    known = {it.name: it for it in _fields(type(asked))}
    told = {known[k].encode_name: v for k, v in values.items() if v and v != known[k].default}
    return f"?{urlencode(told)}" if told else ""


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Its annotations are evaluated each time that msgspec is asked, and a list has many links."""
    return msgspec.structs.fields(kind)


class ListAsked(msgspec.Struct, frozen=True):
    """The clusters' page."""

    q: str = ""
    state: str = ""
    owner: str = ""  # "me": the visitor
    cloud: str = ""
    tag: str = ""
    since: str = ""  # a key of SPANS
    signals: str = ""  # "any": those with signals alone
    sort: str = ClusterOrder.NEWEST
    page: str = ""

    @property
    def filtered(self) -> bool:
        given = (self.q, self.state, self.owner, self.cloud, self.tag, self.since, self.signals)
        return any(given)

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


def cluster_query(it: ListAsked, visit: Visit, *, limit: int) -> ClusterQuery:
    me = visit.known.caller.user
    return ClusterQuery(
        ended=True,
        page=it.page or None,
        limit=limit,
        state=_phase(it.state),
        owner=(me if it.owner == "me" else it.owner) or None,
        cloud=it.cloud or None,
        tag=it.tag or None,
        text=it.q or None,
        since=since(it.since, visit.desk.clock()),
        sort=_order(it.sort),
    )


def since(span: str, now: datetime) -> datetime | None:
    if not span:
        return None
    if span not in SPANS:
        raise InvalidRequest(f"{span!r} is no span of time here.", hint=f"Take {', '.join(SPANS)}.")
    return now - SPANS[span]


def moment(text: str) -> datetime | None:
    """As browsers and people write it, with its time zone."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(f"{text!r} is no moment.", hint="As 2026-11-01T12:00:00Z.") from error
    if at.tzinfo is None:
        raise InvalidRequest(f"{text!r} has no time zone.", hint="As 2026-11-01T12:00:00Z.")
    return at


def _phase(word: str) -> ClusterPhase | None:
    if not word:
        return None
    if word not in list(ClusterPhase):
        raise InvalidRequest(f"{word!r} is no state.", hint=f"Take {', '.join(ClusterPhase)}.")
    return ClusterPhase(word)


def _order(word: str) -> ClusterOrder:
    if word not in list(ClusterOrder):
        raise InvalidRequest(f"{word!r} is no order.", hint=f"Take {', '.join(ClusterOrder)}.")
    return ClusterOrder(word)

"""API tokens, by the hash of their secret."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, update

from shoal.errors import NotFound
from shoal.store import tables
from shoal.store.questions import reading
from shoal.store.rows import changed, read, selecting, values
from shoal.wire.ids import UserName, WorkspaceName
from shoal.wire.views import TokenView

_token = tables.token


class TokenRow(msgspec.Struct, frozen=True):
    id: str
    user: UserName
    workspace: WorkspaceName
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def create(tx: Connection, token: TokenView, sha256: str) -> None:
    tx.execute(insert(_token).values(values(token, sha256=sha256)))


@reading
def by_hash(tx: Connection, sha256: str) -> TokenRow | None:
    query = selecting(TokenRow, _token).where(_token.c.sha256 == sha256)
    return next(iter(read(tx, TokenRow, query)), None)


@reading
def by_id(tx: Connection, id: str) -> TokenRow | None:
    query = selecting(TokenRow, _token).where(_token.c.id == id)
    return next(iter(read(tx, TokenRow, query)), None)


@reading
def page(tx: Connection) -> list[TokenView]:
    """All that are not revoked."""
    query = selecting(TokenView, _token).where(_token.c.revoked_at.is_(None))
    return read(tx, TokenView, query.order_by(_token.c.created_at, _token.c.id))


def revoke(tx: Connection, id: str, at: datetime) -> None:
    did = changed(
        tx,
        update(_token)
        .where(_token.c.id == id, _token.c.revoked_at.is_(None))
        .values(revoked_at=at),
    )
    if not did:
        raise NotFound(f"There is no token {id}.", hint="See: shoal token list")

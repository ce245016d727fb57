"""API tokens: made and listed by administrators; a secret is shown once."""

from __future__ import annotations

import secrets

from shoal.errors import InvalidRequest
from shoal.server import gate
from shoal.server.desk import Desk, Incoming
from shoal.store import tokens as rows
from shoal.wire.endpoints import Nothing, TokenList
from shoal.wire.requests import CreateToken
from shoal.wire.views import NewToken, TokenView

SCOPES = ("clusters", "admin", "metrics")  # "metrics": /metrics and nothing else


async def create_token(desk: Desk, asked: Incoming[None, CreateToken]) -> NewToken:
    body = asked.body
    if unknown := set(body.scopes) - set(SCOPES):
        raise InvalidRequest(
            f"Unknown scope: {', '.join(sorted(unknown))}.", hint=f"Known are: {', '.join(SCOPES)}."
        )
    if not body.user.strip() or not body.workspace.strip():
        raise InvalidRequest("A token needs a user and a workspace.")
    if body.expires_at is not None and body.expires_at.tzinfo is None:
        raise InvalidRequest("expires_at needs a time zone.")
    secret = gate.new_secret()
    token = TokenView(
        id=f"t-{secrets.token_hex(6)}",
        user=body.user,
        workspace=body.workspace,
        scopes=body.scopes,
        created_at=desk.clock(),
        expires_at=body.expires_at,
    )
    await desk.database.run(rows.create, token, gate.hash_of(secret))
    return NewToken(token, secret)


async def tokens(desk: Desk, asked: Incoming[None, None]) -> TokenList:
    return TokenList(tuple(await desk.database.run(rows.page)))


async def revoke_token(desk: Desk, asked: Incoming[None, None]) -> Nothing:
    await desk.database.run(rows.revoke, asked.path["token"], desk.clock())
    return Nothing()

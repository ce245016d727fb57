"""Who asks, and may they: bearer tokens, stored hashed, with scopes and an expiry.

A token's text is `shoal_` and 43 characters of 256 random bits; only its SHA-256 is kept, so that
a stolen database opens nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

import msgspec

from shoal.errors import NotAllowed, NotLoggedIn
from shoal.store import tokens
from shoal.store.database import Database
from shoal.store.tokens import TokenRow
from shoal.wire.ids import UserName, WorkspaceName


class Caller(msgspec.Struct, frozen=True):
    user: UserName
    workspace: WorkspaceName
    scopes: frozenset[str]


def new_secret() -> str:
    return f"shoal_{secrets.token_urlsafe(32)}"


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


async def caller(database: Database, authorization: str | None, now: datetime) -> Caller:
    """The one whose token the Authorization header carries."""
    scheme, _, secret = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise NotLoggedIn("No API token was given.", hint="Log in: shoal login URL")
    return admitted(await database.run(tokens.by_hash, hash_of(secret.strip())), now)[1]


def admitted(row: TokenRow | None, now: datetime) -> tuple[TokenRow, Caller]:
    """The token's row, if it still opens the door, and whom it lets in."""
    if row is None or row.revoked_at is not None:
        raise NotLoggedIn("This API token is not known.", hint="Log in again: shoal login URL")
    if row.expires_at is not None and row.expires_at <= now:
        raise NotLoggedIn("This API token has expired.", hint="Log in again: shoal login URL")
    return row, Caller(row.user, row.workspace, frozenset(row.scopes))


def check_scope(asking: Caller, scope: str) -> None:
    if scope and scope not in asking.scopes:
        raise NotAllowed(
            f"{asking.user}'s token lacks the scope {scope!r}.",
            hint="Ask an administrator for a token that has it: shoal token create",
        )

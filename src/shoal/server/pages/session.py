"""Who looks at the pages: a browser's session, signed with the installation key, kept in a cookie.

The cookie holds no secret that opens the API: the id of the token that was shown at login, and
until when the session lasts. The token's row is read at each request, so that revoking the token
ends its sessions, and its scopes count as they are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta

import msgspec

from shoal.errors import NotLoggedIn
from shoal.server import gate
from shoal.server.desk import Desk
from shoal.server.gate import Caller
from shoal.store import tokens
from shoal.trust.installation_key import InstallationKey

LIFETIME = timedelta(hours=12)


class Session(msgspec.Struct, frozen=True):
    token: str  # its id
    expires_at: datetime


class Visitor(msgspec.Struct, frozen=True):
    caller: Caller
    form_key: str  # what a form of theirs must carry: other sites cannot know it


async def begin(desk: Desk, secret: str) -> tuple[str, datetime]:
    """The cookie's text, for who shows an API token, and until when it is good."""
    now = desk.clock()
    row = await desk.database.run(tokens.by_hash, gate.hash_of(secret))
    row, _ = gate.admitted(row, now)
    ends = min(now + LIFETIME, row.expires_at or now + LIFETIME)
    return sealed(desk.key, Session(row.id, ends)), ends


async def visitor(desk: Desk, cookie: str | None) -> Visitor:
    """NotLoggedIn without a session that is ours, still lasts, and whose token is still good."""
    now = desk.clock()
    session = opened(desk.key, cookie or "")
    if session is None:
        raise NotLoggedIn("Please log in.")
    if session.expires_at <= now:
        raise NotLoggedIn("The session has expired.", hint="Log in again.")
    _, caller = gate.admitted(await desk.database.run(tokens.by_id, session.token), now)
    return Visitor(caller, form_key(desk.key, cookie or ""))


def sealed(key: InstallationKey, session: Session) -> str:
    return seal_text(key, "session", msgspec.json.encode(session))


def opened(key: InstallationKey, text: str) -> Session | None:
    """None unless this key sealed it; whether it still lasts is for the caller to see."""
    raw = open_text(key, "session", text)
    try:
        return None if raw is None else msgspec.json.decode(raw, type=Session)
    except msgspec.DecodeError:
        return None


def seal_text(key: InstallationKey, purpose: str, raw: bytes) -> str:
    """Fit for a cookie or an address. Not secret: whoever holds it can read it."""
    body = _text(raw)
    return f"{body}.{_mark(key, purpose, body)}"


def open_text(key: InstallationKey, purpose: str, text: str) -> bytes | None:
    """None unless this key sealed it for this purpose."""
    body, _, mark = text.partition(".")
    if not hmac.compare_digest(_mark(key, purpose, body).encode(), mark.encode()):
        return None
    try:
        return base64.urlsafe_b64decode(body + "==")
    except binascii.Error:
        return None


def form_key(key: InstallationKey, cookie: str) -> str:
    return _mark(key, "form", cookie)


def cookie_name(desk: Desk, *, secure: bool) -> str:
    """Cookies know hosts, not ports: each of the servers on one machine has its own name."""
    return f"{'__Host-' if secure else ''}shoal-{desk.installation}"


def _mark(key: InstallationKey, purpose: str, text: str) -> str:
    return _text(hmac.digest(key.derive(purpose), text.encode(), hashlib.sha256))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

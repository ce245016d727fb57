"""Forms that a browser sends: small, from our own pages, and with the visitor's form key."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs

from shoal.errors import InvalidRequest, NotAllowed
from shoal.server.pages.frame import Visit

_MAX_BYTES = 16 << 10


async def form(visit: Visit) -> Mapping[str, str]:
    """The fields; NotAllowed if the browser says that another site's page sent them."""
    if visit.request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise _foreign()
    raw = b""
    async for chunk in visit.request.stream():
        raw += chunk
        if len(raw) > _MAX_BYTES:
            raise InvalidRequest("The form is too large.")
    try:
        return {name: given[-1] for name, given in parse_qs(raw.decode("ascii")).items()}
    except ValueError as error:
        raise InvalidRequest("The form cannot be read.") from error


async def checked_form(visit: Visit) -> Mapping[str, str]:
    """The fields of a form that was shown to this visitor in this session."""
    fields = await form(visit)
    given = fields.get("form_key", "").encode()
    if not hmac.compare_digest(given, visit.known.form_key.encode()):
        raise _foreign()
    return fields


def _foreign() -> NotAllowed:
    return NotAllowed("This form is not one of your session.", hint="Open the page and try again.")

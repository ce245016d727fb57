"""Azure's managed identity, as App Service serves it (api-version 2019-08-01).

https://learn.microsoft.com/azure/app-service/overview-managed-identity; azure-identity 1.27 asks so
when IDENTITY_ENDPOINT and IDENTITY_HEADER are set. A token is for one resource: those that are not
here yet are asked of the session. Who names an identity of the VM's own is passed on to it.
"""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlencode

from .answer import Answer, Asked, PassOn, of_json
from .held import Held

# Changing who may do what is not work on data.
_DIRECTORY = ("graph.microsoft.com", "graph.windows.net")
_MOST_CHARACTERS = 200
_IDENTITIES = {"client_id": "client_id", "object_id": "object_id", "mi_res_id": "msi_res_id"}


def normal(resource: str) -> str:
    return resource.removesuffix("/.default").rstrip("/")


def forwardable(resource: str) -> bool:
    """Whether a session is asked for a token at all."""
    plain = bool(resource) and len(resource) <= _MOST_CHARACTERS and resource.isprintable()
    return plain and not any(it in resource.lower() for it in _DIRECTORY)


def token_of(held: Held, resource: str, now: float) -> dict[str, Any] | None:
    found = held.content["tokens"].get(resource)
    return found if found is not None and now < found["expires_at"] else None


def settled(held: Held, resource: str, now: float) -> bool:
    """Whether the session has answered: with a token, or why there is none."""
    known = token_of(held, resource, now) is not None
    return known or resource in held.content.get("refused", {})


def refusal(asked: Asked, secret: str) -> Answer | PassOn | None:
    """None: it is about a resource, and for us to answer."""
    sent = asked.headers.get("x-identity-header", "")
    if not hmac.compare_digest(sent.encode(), secret.encode()):
        return _refused(401, "Send IDENTITY_HEADER as X-IDENTITY-HEADER")
    resource = normal(asked.query.get("resource", ""))
    if not resource:
        return _refused(400, "Name a resource")
    named = {theirs: asked.query[our] for our, theirs in _IDENTITIES.items() if our in asked.query}
    if named:
        query = urlencode({"api-version": "2018-02-01", "resource": resource, **named})
        return PassOn(f"/metadata/identity/oauth2/token?{query}", {"Metadata": "true"})
    if not forwardable(resource):
        return _refused(400, f"Tokens for {resource} are not forwarded: it is not for data")
    return None


def answer(resource: str, held: Held | None, now: float) -> Answer:
    if held is None:
        return _refused(400, "No session forwards an Azure identity any more")
    found = token_of(held, resource, now)
    if found is None:
        why = held.content.get("refused", {}).get(resource, "it did not answer")
        return _refused(400, f"The session gave no token for {resource}: {why}")
    told = {
        "access_token": found["token"],
        "expires_on": str(int(found["expires_at"])),
        "resource": resource,
        "token_type": "Bearer",
    }
    return of_json(told)


def _refused(status: int, message: str) -> Answer:
    """Both forms in which this protocol's errors are read."""
    told = {"statusCode": status, "message": message, "error": "forwarding"}
    return of_json({**told, "error_description": message}, status)

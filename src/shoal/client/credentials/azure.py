"""Azure: access tokens, one for each resource. Storage and management at once, others when a task
asks for them.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from shoal.client.credentials import evidence
from shoal.client.credentials.found import Forwarded, no_client
from shoal.errors import NotPossible
from shoal.wire.specs import Cloud

STORAGE, MANAGEMENT = "https://storage.azure.com", "https://management.azure.com"
_FIRST = (STORAGE, MANAGEMENT)


class AzureLogin:
    cloud = Cloud.AZURE

    def __init__(self, credential: Callable[[], Any] | None = None) -> None:
        try:
            import azure.identity  # noqa: F401
        except ModuleNotFoundError as error:
            raise no_client(self.cloud, "azure-identity") from error
        logging.getLogger("azure.identity").addHandler(logging.NullHandler())  # else on stderr
        self._make = credential or _default
        self._credential: Any = None

    def read(self, now: datetime, resources: frozenset[str]) -> Forwarded:
        from azure.core.exceptions import AzureError

        if self._credential is None:
            self._credential = self._make()
        tokens: dict[str, dict[str, Any]] = {}
        refused: dict[str, str] = {}
        first_error: AzureError | None = None
        for resource in dict.fromkeys((*_FIRST, *sorted(resources))):
            try:
                found = self._credential.get_token(f"{resource}/.default")
            except AzureError as error:  # of this resource only, perhaps
                first_error = first_error or error
                refused[resource] = _first_line(error)
                continue
            tokens[resource] = {"token": found.token, "expires_at": float(found.expires_on)}
        if not tokens:
            raise NotPossible(_first_line(first_error), hint="az login") from first_error
        first = next(iter(tokens.values()))
        soonest = min(it["expires_at"] for it in tokens.values())
        return Forwarded(
            self.cloud,
            whose(str(first["token"])),
            datetime.fromtimestamp(soonest, UTC),
            {"tokens": tokens, "refused": refused},
        )


def _default() -> Any:
    """Of the places where a login may be, those that ask no metadata service in vain."""
    from azure.identity import DefaultAzureCredential

    place = evidence.here()
    managed = place.environ.get("IDENTITY_ENDPOINT") or place.environ.get("MSI_ENDPOINT")
    on_a_vm = bool(managed) or evidence.on_azure(place)
    return DefaultAzureCredential(exclude_managed_identity_credential=not on_a_vm)


def whose(token: str) -> str:
    """As the token says it; it is shown, and nothing is decided by it."""
    parts = token.split(".")
    if len(parts) != 3:
        return "a user"
    body = parts[1] + "=" * (-len(parts[1]) % 4)
    try:
        claims = json.loads(base64.urlsafe_b64decode(body))
    except ValueError:
        return "a user"
    for name in ("upn", "unique_name", "appid", "oid"):
        if claims.get(name):
            return str(claims[name])
    return "a user"


def _first_line(error: Exception | None) -> str:
    return f"{error}".strip().splitlines()[0] if error and str(error).strip() else "no login"

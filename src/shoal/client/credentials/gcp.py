"""Google Cloud: an access token of the Application Default Credentials.

A service account's key or a user's refresh token stays here.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from shoal.client.credentials.found import Forwarded, no_client
from shoal.client.credentials.renewal import LEASE
from shoal.errors import NotPossible
from shoal.wire.specs import Cloud

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LOGIN = "gcloud auth application-default login"
_WITHIN_S = 10


class GcpLogin:
    cloud = Cloud.GCP

    def __init__(
        self, *, token_information: str = "https://oauth2.googleapis.com/tokeninfo"
    ) -> None:
        try:
            import google.auth.transport.requests  # noqa: F401
        except ImportError as error:
            raise no_client(self.cloud, "google-auth[requests]") from error
        self._token_information = token_information
        self._credentials: Any = None
        self._project = ""

    def read(self, now: datetime, resources: frozenset[str]) -> Forwarded:
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        try:
            return self._read(now, Request())
        except GoogleAuthError as error:
            raise NotPossible(f"{type(error).__name__}: {error}", hint=_LOGIN) from error

    def _read(self, now: datetime, request: Any) -> Forwarded:
        import google.auth

        if self._credentials is None:
            self._credentials, project = google.auth.default(scopes=[_SCOPE])
            self._project = project or ""
        found = self._credentials
        found.refresh(request)
        email = self._email(found, request)
        content = {
            "access_token": found.token,
            "email": email,
            "scopes": list(getattr(found, "granted_scopes", None) or found.scopes or [_SCOPE]),
            "project": self._project,
            "quota_project": getattr(found, "quota_project_id", None) or "",
            "universe": getattr(found, "universe_domain", "") or "",
        }
        expires_at = found.expiry.replace(tzinfo=UTC) if found.expiry else now + LEASE
        return Forwarded(self.cloud, email or "a user without an address", expires_at, content)

    def _email(self, found: Any, request: Any) -> str:
        """A user's credentials do not tell whose they are; the token does, if it may."""
        for name in ("service_account_email", "account"):
            email = getattr(found, name, "")
            if email and email != "default":
                return str(email)
        from google.auth.exceptions import TransportError

        try:
            answer = request(
                url=self._token_information,
                method="POST",
                body=urlencode({"access_token": found.token}).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                timeout=_WITHIN_S,
            )
            return str(json.loads(answer.data).get("email", "")) if answer.status == 200 else ""
        except (TransportError, ValueError):
            return ""

"""Who may use a server."""

from __future__ import annotations

import msgspec

from shoal.wire import requests, views
from shoal.wire.endpoints.kinds import MISSING, Endpoint, Nothing


class TokenList(msgspec.Struct, frozen=True):
    tokens: tuple[views.TokenView, ...]


CREATE_TOKEN = Endpoint(
    "create_token",
    "POST",
    "/v1/tokens",
    "Make an API token; its secret is shown once",
    "admin",
    views.NewToken,
    body=requests.CreateToken,
)

TOKENS = Endpoint("tokens", "GET", "/v1/tokens", "API tokens, without secrets", "admin", TokenList)

REVOKE_TOKEN = Endpoint(
    "revoke_token",
    "POST",
    "/v1/tokens/{token}/revoke",
    "End a token at once",
    "admin",
    Nothing,
    problems=MISSING,
)

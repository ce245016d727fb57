"""What a protocol answers: small values between the pure protocols and the HTTP around them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Asked(NamedTuple):
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    target: str  # path and query, as they came


class Answer(NamedTuple):
    status: int
    body: str
    content_type: str = "application/json"
    headers: dict[str, str] = {}


class PassOn(NamedTuple):
    """Not ours: the VM's own metadata service knows."""

    target: str
    headers: dict[str, str]


def of_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value), headers=headers or {})

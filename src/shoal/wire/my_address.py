"""The address that this machine has to the world, as somebody out there sees it.

Asked at a URL that answers with it in plain text; which one is a setting of the session and of the
server, since a network may allow only its own.
"""

from __future__ import annotations

import ipaddress

import httpx2

from shoal.errors import NotPossible

DEFAULT_URL = "https://checkip.amazonaws.com"
_TIMEOUT_S = 5.0


async def my_network(url: str, hint: str) -> str:
    """As a network of one address: "203.0.113.7/32". `hint`: what to do where it cannot be had."""
    try:
        async with httpx2.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=True) as client:
            answer = (await client.get(url)).raise_for_status().text.strip()
        return f"{ipaddress.IPv4Address(answer)}/32"
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise NotPossible(
            f"The address that this machine has to the world is not known: {url} "
            f"does not tell it ({error or type(error).__name__}).",
            hint=hint,
        ) from error

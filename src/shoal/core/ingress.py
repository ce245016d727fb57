"""Who may reach a scheduler from outside its network: CIDRs, settled before anything exists.

The user's words are "me", "everyone" or a CIDR. "Me" is the address that the session has to the
world, and the server's too, since it dials the head. A scheduler without a public address is
reached through private networks only: "me" is then whoever is on one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from shoal.errors import InvalidRequest

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
EVERYONE = "0.0.0.0/0"


def settled(
    allowed: str, *, session: Sequence[str], server: Sequence[str], public: bool
) -> tuple[str, ...]:
    """`session`, `server`: the networks that they are seen as, "203.0.113.7/32"."""
    if allowed == "everyone":
        return (EVERYONE,)
    if allowed != "me":
        return _networks([allowed, *server])
    if not public:
        return PRIVATE
    if not session:
        raise InvalidRequest(
            "The session did not say which address it has to the world.",
            hint='Say who may reach the scheduler: allow_ingress_from="203.0.113.7/32".',
        )
    return _networks([*session, *server])


def _networks(texts: Sequence[str]) -> tuple[str, ...]:
    try:
        found = {ipaddress.IPv4Network(it, strict=False) for it in texts}
    except ValueError as error:
        raise InvalidRequest(
            f"That is no IPv4 network that may reach the scheduler: {error}.",
            hint='Give allow_ingress_from "me", "everyone", or a CIDR as 203.0.113.0/24.',
        ) from error
    return tuple(str(it) for it in sorted(found))

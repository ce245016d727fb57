"""Images that an account names itself: one for all its machines, or one for each kind of them.

    NAME
    x86_64=NAME,aarch64=NAME,gpu=NAME        a kind that is not named gets the vendor's

What a name is, the cloud's own adapter knows; so does it what is taken where none is named.
"""

from __future__ import annotations

from shoal.core.records import Offer
from shoal.errors import InvalidRequest

KINDS = ("x86_64", "aarch64", "gpu")


def named(image: str, offer: Offer) -> str:
    """The account's own image for such a machine; empty: it names none."""
    by_kind = parsed(image)
    if not by_kind:
        return image
    return by_kind.get("gpu" if offer.gpu else offer.arch, "")


def parsed(image: str) -> dict[str, str]:
    """Empty where it is one name for all. Raises InvalidRequest for a kind that does not exist."""
    if "=" not in image:
        return {}
    found = {}
    for part in image.split(","):
        kind, equals, name = (it.strip() for it in part.partition("="))
        if kind not in KINDS or not equals or not name:
            raise InvalidRequest(
                f"{part!r} names no image.",
                hint=f"As in image=NAME, or image=x86_64=NAME,gpu=NAME. Kinds: {', '.join(KINDS)}.",
            )
        found[kind] = name
    return found

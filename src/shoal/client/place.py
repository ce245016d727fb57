"""Where a server is, and what opens it. No repr, log line or traceback shows the token."""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True):
    url: str
    token: str
    hint: str = ""  # what to do when it does not answer

    @property
    def plain(self) -> bool:
        """Without TLS: this machine's own, which neither proxies nor certificates are about."""
        return self.url.startswith("http://")

    def __repr__(self) -> str:
        return f"Place({self.url!r}, …)"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("url", self.url)]

"""What is read of a login."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from shoal.errors import NotPossible, ShoalError
from shoal.wire.specs import Cloud


class Forwarded(msgspec.Struct, frozen=True):
    """As it travels; `content` is what plugins.credentials reads, and is never shown."""

    cloud: Cloud
    identity: str  # whose it is, in the cloud's own words
    expires_at: datetime
    content: dict[str, Any]

    def __repr__(self) -> str:
        return f"<{self.cloud}: {self.identity}, until {self.expires_at:%Y-%m-%d %H:%M} UTC>"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("cloud", self.cloud), ("identity", self.identity)]

    def message(self) -> dict[str, Any]:
        return {
            "cloud": str(self.cloud),
            "identity": self.identity,
            "expires_at": self.expires_at.timestamp(),
            "content": self.content,
        }


class ForwardedIdentity(msgspec.Struct, frozen=True):
    """Of a cluster: whose credentials its workers have, or why they have none."""

    cloud: Cloud
    identity: str
    expires_at: datetime | None = None  # None: not forwarded
    why_not: str = ""

    def __str__(self) -> str:
        if self.expires_at is None:
            return f"{self.cloud}: not forwarded: {self.why_not}"
        until = self.expires_at.astimezone()
        day = "" if until.date() == datetime.now(UTC).astimezone().date() else f"{until:%Y-%m-%d} "
        return f"{self.cloud}: {self.identity}, until {day}{until:%H:%M}"


# What reading may raise: SDKs of others meet files of others.
READING_FAILED = (
    ShoalError,
    OSError,
    ImportError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)


class Login(Protocol):
    """One cloud's. `read` blocks, and may ask the cloud. What is wrong with the login is
    NotPossible, with what to do."""

    @property
    def cloud(self) -> Cloud: ...
    def read(self, now: datetime, resources: frozenset[str]) -> Forwarded: ...


class Place(NamedTuple):
    """Where logins are looked for. `firmware`: of the machine, as sysfs tells (a file's name)."""

    environ: Mapping[str, str]
    firmware: Callable[[str], str]


def no_client(cloud: Cloud, package: str) -> NotPossible:
    return NotPossible(
        f"there is a login to {cloud}, and {package} to read it with is not installed here",
        hint=f"pip install {package}",
    )

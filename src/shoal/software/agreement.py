"""What both sides of a Dask connection must have alike, and how alike: pure.

Tasks are pickled here and unpickled there, messages are packed here and unpacked there. A version
that is too far away fails at the first task, with words that nobody connects with its cause.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator, Mapping

import msgspec

from shoal.errors import InvalidRequest

# How many leading parts of a version must be equal; the rest may differ, and is told.
# dask and distributed: all of them, as their documentation asks. Byte code changes with Python's
# minor version, cloudpickle's format of functions with its own; msgpack's format and tornado's
# streams are those of a major version.
_PARTS = {"python": 2, "dask": 9, "distributed": 9, "cloudpickle": 2, "msgpack": 1, "tornado": 1}

# Never left out, never another version than here.
MUST_MATCH = frozenset(_PARTS) - {"python"}


class Difference(msgspec.Struct, frozen=True):
    name: str
    there: str
    here: str

    @property
    def words(self) -> str:
        return f"{self.there} there and {self.here} in this session"

    @property
    def breaks(self) -> bool:
        """Whether the two cannot talk to each other."""
        parts = _PARTS[self.name]
        return self.there.split(".")[:parts] != self.here.split(".")[:parts]


def in_this_session() -> dict[str, str]:
    """Versions by name, of what is installed."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in sorted(MUST_MATCH):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> Iterator[Difference]:
    """Of what both have and must have alike. Versions by name; an unknown one is empty."""
    for name in _PARTS:
        theirs, ours = there.get(name, ""), here.get(name, "")
        if theirs and ours and theirs != ours:
            yield Difference(name, theirs, ours)


def agreed(
    software: str, there: Mapping[str, str], here: Mapping[str, str]
) -> tuple[Difference, ...]:
    """What differs without harm. Raises InvalidRequest when the two sides could not talk."""
    found = tuple(differences(there, here))
    if wrong := [it for it in found if it.breaks]:
        lines = "\n".join(f"  {it.name}: {it.words}" for it in wrong)
        pins = ", ".join(f"{it.name}=={it.here}" for it in wrong)
        raise InvalidRequest(
            f"{software} and this session must have these alike, since Dask sends tasks from one "
            f"to the other:\n{lines}",
            hint=f"Ask for {pins} there, or start the session with the versions that it has.",
        )
    return found

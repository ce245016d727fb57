"""What changed between two environments, package by package."""

from __future__ import annotations

import msgspec

from shoal.wire.environments import Manifest


class Change(msgspec.Struct, frozen=True):
    name: str
    before: str  # version; empty: was not there
    after: str  # empty: is not there any more

    @property
    def what(self) -> str:
        if not self.before:
            return "added"
        return "changed" if self.after else "removed"


def changes(old: Manifest, new: Manifest) -> tuple[Change, ...]:
    """By name. A wheel built here may change its content and keep its version: that is told too."""
    before, after = _versions(old), _versions(new)
    found = [("Python", old.python, new.python)] if old.python != new.python else []
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            found.append((name, before.get(name, ""), after.get(name, "")))
    return tuple(Change(*it) for it in found)


def _versions(it: Manifest) -> dict[str, str]:
    built = {wheel.distribution: wheel.sha256[:8] for wheel in it.wheels}
    return {
        one.name: f"{one.version} ({built[one.name]})" if one.name in built else one.version
        for one in it.packages
    }

"""Who sent what, and which of it counts: for each cloud, what the newest session sent.

Sessions are ordered by when they first sent something: one that renews does not become newer. When
the newest withdraws, or what it sent has expired, the one before it counts again.
"""

from __future__ import annotations

from collections.abc import Iterable

from .held import Held


class Standing:
    def __init__(self) -> None:
        self._sent: dict[str, dict[str, Held]] = {}  # sender -> cloud; in the order of sessions

    def put(self, sender: str, held: Iterable[Held]) -> None:
        """All that the sender has now; what it had before is forgotten."""
        self._sent[sender] = {it.cloud: it for it in held}

    def withdraw(self, sender: str) -> None:
        self._sent.pop(sender, None)

    def forget_expired(self, now: float) -> bool:
        """Whether anything was."""
        before = sum(map(len, self._sent.values()))
        for sender, held in self._sent.items():
            self._sent[sender] = {cloud: it for cloud, it in held.items() if it.valid(now)}
        return sum(map(len, self._sent.values())) < before

    def counts(self) -> list[Held]:
        found: dict[str, Held] = {}
        for held in self._sent.values():
            found |= held
        return [found[cloud] for cloud in sorted(found)]

    def next_expiry(self) -> float | None:
        return min(
            (it.expires_at for held in self._sent.values() for it in held.values()), default=None
        )

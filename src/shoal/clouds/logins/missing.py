"""What a login does not say, and a person can: whose account, or which region."""

from __future__ import annotations

import enum

from shoal.errors import NotPossible


class Missing(enum.StrEnum):
    """By the option that says it."""

    OWNER = "owner"
    REGION = "region"


class NotSaid(NotPossible):
    """`known`: the answers there are, where that is known."""

    def __init__(
        self, message: str, *, hint: str, missing: Missing, known: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.missing = missing
        self.known = known

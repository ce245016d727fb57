"""Parts of one work that fail together: which of their errors a user is told."""

from __future__ import annotations

from shoal.errors import ShoalError


def first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """One of ours if there is any: the others follow from it more often than not."""
    flat: list[BaseException] = []
    for error in several.exceptions:
        flat.append(first(error) if isinstance(error, BaseExceptionGroup) else error)
    known = [error for error in flat if isinstance(error, ShoalError)]
    return (known or flat)[0]

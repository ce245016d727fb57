"""A disk that is full, told from other failures: by the system's number or an installer's words."""

from __future__ import annotations

import errno
import re

from shoal.errors import EnvironmentFailed

_FULL = (errno.ENOSPC, errno.EDQUOT)
_WORDS = re.compile(r"No space left on device|os error 28\b|[Dd]isk quota exceeded|disk is full")


def full(failure: OSError | str) -> bool:
    if isinstance(failure, OSError):
        return failure.errno in _FULL
    return _WORDS.search(failure) is not None


def no_room(words: object) -> EnvironmentFailed:
    """On a VM."""
    error = EnvironmentFailed(
        f"The disk of this VM is full: the environment could not be written.\n{words}",
        hint="Take a larger one: worker_disk_size=…; on this machine, make room.",
    )
    error.passing = True
    return error

"""Sizes, counts and durations as people write them: "16 GiB", [2, 8], "20 minutes", a timedelta.

Pure. Each function takes the argument's name, so that the error can say which one is wrong.
"""

from __future__ import annotations

from datetime import timedelta

from dask.utils import format_bytes, parse_bytes, parse_timedelta

from shoal.errors import InvalidRequest
from shoal.wire.specs import Range

GIB = 1 << 30
_LEAST_MEMORY = 128 << 20
_MOST_MEMORY = 64 << 40
_MOST_CPU = 1024
# What Dask's parsers raise: an unknown unit, no number, nothing at all, a number without end.
_UNREADABLE = (ValueError, KeyError, IndexError, OverflowError)


def cpu(name: str, given: object) -> Range | None:
    """An exact count, or a pair."""
    if given is None:
        return None
    least, most = _pair(name, given, "4, or [4, 8]")
    low, high = count(name, least), count(name, most)
    if not 1 <= low <= high <= _MOST_CPU:
        raise InvalidRequest(
            f"{name}={given!r}: vCPUs are between 1 and {_MOST_CPU}, the smaller number first"
        )
    return Range(low, high)


def memory(name: str, given: object) -> Range | None:
    """A pair is meant as it is; a single value within ±10 %, for no cloud sells exactly that."""
    if given is None:
        return None
    least, most = _pair(name, given, '"16 GiB", or ["16 GiB", "32 GiB"]')
    low, high = byte_count(name, least), byte_count(name, most)
    if low > high:
        raise InvalidRequest(f"{name}={given!r}: the smaller size comes first")
    if isinstance(given, list | tuple):
        return Range(low, high)
    return Range(low * 9 // 10, high * 11 // 10)


def byte_count(name: str, given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise InvalidRequest(f"{name}={given!r} is not a size", hint='Write it as "16 GiB"')
    try:
        size = int(parse_bytes(given))
    except _UNREADABLE as error:
        raise InvalidRequest(
            f"{name}={given!r} is not a size", hint='Write it as "16 GiB" or "500 MB"'
        ) from error
    if not _LEAST_MEMORY <= size <= _MOST_MEMORY:
        meant = f'; "{given} GiB" may be meant' if str(given).isdigit() else ""
        raise InvalidRequest(
            f"{name}={given!r} is {format_bytes(size)}, and must be between "
            f"{format_bytes(_LEAST_MEMORY)} and {format_bytes(_MOST_MEMORY)}{meant}"
        )
    return size


def disk_gib(name: str, given: object) -> int | None:
    """A number is meant as GiB."""
    if given is None:
        return None
    if isinstance(given, int) and not isinstance(given, bool):
        size = given
    else:
        size = -(-byte_count(name, given) // GIB)
    if not 10 <= size <= 65536:
        raise InvalidRequest(f"{name}={given!r}: a disk has between 10 GiB and 64 TiB")
    return size


def seconds(name: str, given: object) -> float:
    if isinstance(given, timedelta):
        value = given.total_seconds()
    elif isinstance(given, bool) or not isinstance(given, int | float | str):
        raise _not_a_duration(name, given)
    else:
        try:
            value = float(parse_timedelta(given, default="seconds"))
        except _UNREADABLE as error:
            raise _not_a_duration(name, given) from error
    if not 0 < value < 10 * 366 * 86400:
        raise InvalidRequest(
            f"{name}={given!r}: a duration is more than nothing and less than ten years",
            hint="None switches a timeout off",
        )
    return value


def seconds_or_none(name: str, given: object) -> float | None:
    return None if given is None else seconds(name, given)


def count(name: str, given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidRequest(f"{name}: {given!r} is not a whole number")
    return given


def _pair(name: str, given: object, example: str) -> tuple[object, object]:
    if not isinstance(given, list | tuple):
        return given, given
    if len(given) != 2:
        raise InvalidRequest(
            f"{name}={given!r} has {len(given)} values", hint=f"Give one or two: {example}"
        )
    return given[0], given[1]


def _not_a_duration(name: str, given: object) -> InvalidRequest:
    return InvalidRequest(
        f"{name}={given!r} is not a duration",
        hint='Write it as "20 minutes", a number of seconds, a timedelta, or None',
    )

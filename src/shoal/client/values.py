"""Plain kinds of values: a flag, a name, a list of names, a dictionary, one word of several.

Pure. Each function takes the argument's name, so that the error can say which one is wrong.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from shoal.errors import InvalidRequest

_T = TypeVar("_T")
_E = TypeVar("_E", bound=enum.StrEnum)


def mapping(name: str, given: object) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise InvalidRequest(f"{name}={given!r} is not a dictionary with text as keys")
    return dict(given)


def names(name: str, given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    items = (given,) if isinstance(given, str) else given
    if not isinstance(items, list | tuple | set | frozenset) or not all(
        isinstance(item, str) and item.strip() for item in items
    ):
        raise InvalidRequest(f"{name}={given!r} is not a list of names")
    ordered = sorted(items) if isinstance(items, set | frozenset) else items
    return tuple(item.strip() for item in ordered)


def flag(name: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise InvalidRequest(f"{name}={given!r}: it is True or False")
    return given


def text(name: str, given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or not given.strip():
        raise InvalidRequest(f"{name}={given!r} is not a name")
    return given.strip()


def optional(name: str, given: object, check: Callable[[str, object], _T]) -> _T | None:
    return None if given is None else check(name, given)


def one_of(name: str, given: object, kind: type[_E]) -> _E:
    words = [str(member) for member in kind]
    if given not in words:
        raise InvalidRequest(f"{name}={given!r}", hint=close(str(given), words))
    return kind(str(given))


def close(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"There are: {', '.join(sorted(known))}"

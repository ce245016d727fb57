"""What is told of making an environment, line by line: all that a person needs, and not more.

An installer may print without end, at a thousand VMs at once, and what it prints may name the user
and the password of an index. So the first lines and the last are told, with how many were left out
between them; lines that say one thing of each package are one line; and no secret is in any.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

BEGIN, END = 150, 100  # lines that are told; what is between them is counted
WIDTH = 4_000  # characters
_ALIKE = re.compile(r"^\s*(\+|-|~|fetching)\s+(\S.*)$")  # of uv's and rattler's, one a package
_PROGRESS = re.compile(r"^linked \d+ \d+$")
_SECRETS = (  # within a URL
    (re.compile(r"(://)[^\s/?#\"'`]*@"), r"\1"),  # user:password@
    (re.compile(r"(://[^\s?#\"'`]+)\?[^\s\"'`)]+"), r"\1?…"),  # signatures and tokens
    (re.compile(r"(://[^\s/\"'`]+/t/)[^\s/\"'`]+"), r"\1…"),  # a token of a conda channel
)


class BuildLog:
    """`say` gets a line at a time. `end` tells what is held back: call it however it ended."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told = 0
        self._alike: tuple[str, list[str]] = ("", [])
        self._last: deque[str] = deque(maxlen=END)
        self._left_out = 0

    def line(self, text: str) -> None:
        for one in text.splitlines():
            self._take(redacted(one.rstrip()))

    def end(self) -> None:
        self._close()
        if self._left_out:
            self._say(f"… {self._left_out:,} lines are left out here …")
        for it in self._last:
            self._say(it)
        self._last.clear()
        self._left_out = 0

    def _take(self, text: str) -> None:
        if not text or _PROGRESS.match(text):
            return
        found = _ALIKE.match(text)
        if found is None:
            self._close()
            self._put(text)
            return
        mark, name = found.groups()
        known, names = self._alike
        if mark != known or sum(map(len, names)) + len(name) + 2 * len(names) > WIDTH - 20:
            self._close()
            names = []
        self._alike = mark, [*names, name]

    def _close(self) -> None:
        mark, names = self._alike
        self._alike = "", []
        if names:
            self._put(f"{mark} {', '.join(names)}")

    def _put(self, text: str) -> None:
        told = text if len(text) <= WIDTH else f"{text[:WIDTH]}…"
        if self._told < BEGIN:
            self._told += 1
            self._say(told)
            return
        self._left_out += len(self._last) == END
        self._last.append(told)


def redacted(text: str) -> str:
    """No URL in it tells a user, a password or a token."""
    for pattern, kept in _SECRETS:
        text = pattern.sub(kept, text)
    return text

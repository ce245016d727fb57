"""A command on a terminal of its own: what a person types when they read this or that, and what
stays on the screen."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

CTRL_C, CTRL_D = "\x03", "\x04"
_PATIENCE_S, _AGAIN_S = 120.0, 3.0
_OVER = None


Typed = tuple[str, str | Callable[[], str]]  # one that takes its time to be given


class Screen(msgspec.Struct, frozen=True):
    status: int
    text: str


def on_a_terminal(
    arguments: Sequence[str], environment: Mapping[str, str], typed: Sequence[Typed]
) -> Screen:
    """`typed`: what is waited for, each after the one before, and what is typed then."""
    line = [str(Path(sys.executable).with_name("shoal")), *arguments]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(line[0], line, {**environment, "TERM": "xterm", "COLUMNS": "100"})
    text, read, left, last = "", 0, list(typed), ""
    until = time.monotonic() + _PATIENCE_S
    try:
        while (data := _read(terminal, _AGAIN_S)) is not _OVER and time.monotonic() < until:
            text += data.decode(errors="replace")
            if not data and last == CTRL_C and text.endswith("^C"):  # it came before it was read
                os.write(terminal, last.encode())
            while left and (at := text.find(left[0][0], read)) >= 0:
                wanted, answer = left.pop(0)
                read, last = at + len(wanted), answer if isinstance(answer, str) else answer()
                os.write(terminal, last.encode())
    finally:
        os.close(terminal)
        if time.monotonic() >= until:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    assert not left, f"never read {left[0][0]!r} in:\n{text}"
    return Screen(os.waitstatus_to_exitcode(status), text.replace("\r\n", "\n"))


def _read(terminal: int, wait_s: float) -> bytes | None:
    """Nothing yet: empty."""
    ready, _, _ = select.select([terminal], [], [], wait_s)
    if not ready:
        return b""
    try:
        return os.read(terminal, 65536) or _OVER
    except OSError:  # as Linux says that the other end is closed
        return _OVER

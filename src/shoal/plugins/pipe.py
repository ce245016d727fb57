"""The child's end of the conversation with its agent: JSON lines over stdin and stdout.

User code prints, and may read stdin, so both descriptors are moved away first: what is printed goes
to stderr and becomes log lines, and `input()` meets an empty file. When the agent dies its end of
stdin closes and the process ends at once; on Linux the kernel ends it too, even if Python hangs.

Nothing here may hold Dask's event loop up: a thread writes. Messages are states, of which only the
newest of each kind waits, or batches of telemetry, of which few wait and the rest is refused.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
import threading
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]  # JSON, as shoal.agent.messages declares it

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
AGENT_GONE = 71  # exit status: EX_OSERR
_MOST_BATCHES = 10  # that wait to be written


class Pipe:
    """Make it before anything of the user's is imported, in the main thread."""

    def __init__(self) -> None:
        _die_with_parent()
        self._inlet = os.fdopen(os.dup(0), "rb")
        self._outlet = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        _by_line()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._early: list[Message] = []  # read before there was a loop
        self._lock = threading.Lock()
        self._newest: dict[str, Message] = {}
        self._batches: list[Message] = []
        self._something = threading.Event()
        self._written = threading.Event()
        self._written.set()
        for target in (self._read, self._write):
            threading.Thread(
                target=target, name=f"shoal-pipe{target.__name__}", daemon=True
            ).start()

    def attach(self) -> None:
        """From now on `next` works, in this event loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            for message in self._early:
                self._inbox.put_nowait(message)
            self._early.clear()

    async def next(self) -> Message:
        return await self._inbox.get()

    def tell(self, op: str, **content: Any) -> None:
        """The newest message of its kind; an older one that still waits is forgotten."""
        with self._lock:
            self._newest[op] = {"op": op, **content}
            self._written.clear()
            self._something.set()

    def hand_on(self, op: str, **content: Any) -> bool:
        """A batch, after those before it; False where too many wait, and this one is not taken."""
        with self._lock:
            if len(self._batches) >= _MOST_BATCHES:
                return False
            self._batches.append({"op": op, **content})
            self._written.clear()
            self._something.set()
        return True

    def end(self, status: int) -> None:
        """Leave without Python's own farewell, which waits for threads that user code left."""
        self._written.wait(1.0)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def _read(self) -> None:
        for line in self._inlet:
            message = json.loads(line)
            with self._lock:
                if self._loop is None:
                    self._early.append(message)
                else:
                    self._loop.call_soon_threadsafe(self._inbox.put_nowait, message)
        os._exit(AGENT_GONE)

    def _write(self) -> None:
        while True:
            self._something.wait()
            with self._lock:
                messages, self._newest = list(self._newest.values()), {}
                if self._batches:
                    messages.append(self._batches.pop(0))
                if not self._batches:
                    self._something.clear()
            try:
                for message in messages:
                    _write_all(self._outlet, json.dumps(message).encode() + b"\n")
            except OSError:
                os._exit(AGENT_GONE)
            with self._lock:
                if not self._newest and not self._batches:
                    self._written.set()


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _die_with_parent() -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died just before
            os._exit(AGENT_GONE)


def _by_line() -> None:
    """What is printed shows up when the line ends, though it goes through a pipe."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)

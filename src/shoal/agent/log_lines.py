"""The lines of every process on a VM, bounded everywhere: in memory, on disk, in what travels.

A computation may print without end; then the oldest lines go, and their number is told. Nothing
here ever makes a process wait that writes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from shoal.agent.clock import Clock
from shoal.wire.ids import InstanceId
from shoal.wire.views import LogLine

Sink: TypeAlias = Callable[[LogLine], None]

MOST_LINES = 5_000
MOST_LENGTH = 8_192
_FILE_BYTES = 4 * 2**20


class LogLines:
    """Every line goes to a file of its process and to `sink`, which sends it on."""

    def __init__(self, instance: InstanceId, directory: Path, sink: Sink, clock: Clock) -> None:
        self._instance = instance
        self._directory = directory
        self._sink = sink
        self._clock = clock
        self._files: dict[str, RotatingFile] = {}

    def add(self, process: str, text: str) -> None:
        line = LogLine(self._clock.now(), self._instance, process, text[:MOST_LENGTH])
        self._file(process).write(f"{line.at.isoformat(timespec='milliseconds')} {line.text}\n")
        self._sink(line)

    def _file(self, process: str) -> RotatingFile:
        if process not in self._files:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._files[process] = RotatingFile(self._directory / f"{process}.log")
        return self._files[process]


class RotatingFile:
    """At most two files: the newest lines and those before. A full disk loses lines, no more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size if path.exists() else 0

    def write(self, text: str) -> None:
        data = text.encode(errors="replace")
        try:
            if self._size + len(data) > _FILE_BYTES:
                self._path.replace(self._path.with_suffix(".log.1"))
                self._size = 0
            with self._path.open("ab") as file:
                file.write(data)
        except OSError:
            return
        self._size += len(data)


class Outbox:
    """A worker's lines that the head does not have yet."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque()
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, line: LogLine) -> None:
        self._lines.append(line)
        if len(self._lines) > MOST_LINES:
            self._lines.popleft()
            self._dropped += 1

    def take(self, most: int) -> tuple[tuple[LogLine, ...], int]:
        """The oldest lines, and how many before them were lost; `give_back` what did not arrive."""
        taken = tuple(self._lines.popleft() for _ in range(min(most, len(self._lines))))
        dropped, self._dropped = self._dropped, 0
        return taken, dropped

    def give_back(self, taken: tuple[LogLine, ...], dropped: int) -> None:
        self._lines.extendleft(reversed(taken))
        self._dropped += dropped
        while len(self._lines) > MOST_LINES:
            self._lines.popleft()
            self._dropped += 1


class Splitter:
    """Bytes as they come from a pipe -> lines; one without an end is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        yield from (_text(line) for line in lines)
        while len(self._rest) >= MOST_LENGTH:
            yield _text(self._rest[:MOST_LENGTH])
            self._rest = self._rest[MOST_LENGTH:]

    def end(self) -> Iterator[str]:
        if self._rest:
            yield _text(self._rest)
            self._rest = b""


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


class AgentHandler(logging.Handler):
    """The agent's own log is one of the VM's."""

    def __init__(self, lines: LogLines) -> None:
        super().__init__(logging.INFO)
        self._lines = lines
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        for text in self.format(record).splitlines():
            self._lines.add("agent", text)

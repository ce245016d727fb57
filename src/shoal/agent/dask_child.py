"""One Dask process: started in the user's environment, spoken with over pipes, ended for certain.

Starting it costs half a second of import, so it is started before everything that it must be told
is known, and told then. Its stderr (where its stdout goes too) becomes log lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import msgspec

from shoal.agent.log_lines import Splitter
from shoal.agent.messages import Command, Told, read_told
from shoal.wire.specs import Role

_log = logging.getLogger(__name__)

_START = Path(__file__).parents[1] / "plugins" / "start.py"
_PROGRAMS = {Role.SCHEDULER: "scheduler_process", Role.WORKER: "worker_process"}
_LAST_WORDS_S = 0.2
_LINE_BYTES = 2**24
CANNOT_BE = 2  # exit status: it cannot run as asked (shoal/plugins/*_process.py)

# As Dask's Nanny does before it spawns (distributed.yaml, nanny.pre-spawn-environ, 2026.8): these
# must be there when the process starts.
_BEFORE_START = {
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def child_environment(
    inherited: Mapping[str, str], asked: Mapping[str, str], prefix: Path, directory: Path
) -> dict[str, str]:
    """What the VM has, without what is the agent's own; the user's wishes last."""
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(("SHOAL_", "PYTHON", "VIRTUAL_ENV", "CONDA_"))
    }
    path = f"{prefix / 'bin'}:{kept.get('PATH', '')}".rstrip(":")
    own = {
        "PATH": path,
        "CONDA_PREFIX" if (prefix / "conda-meta").is_dir() else "VIRTUAL_ENV": str(prefix),
        "DASK_TEMPORARY_DIRECTORY": str(directory),  # else it is /tmp, and outlives the VM
    }
    return {**_BEFORE_START, **kept, **own, **asked, **_mark(inherited)}


def _mark(inherited: Mapping[str, str]) -> dict[str, str]:
    """By which the local cloud finds the processes of a VM, whoever started them."""
    name = inherited.get("SHOAL_VM_NAME")
    return {} if name is None else {"SHOAL_VM_NAME": name}


class DaskChild:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._exited = asyncio.Event()
        self.pid = process.pid
        self.killed_for = ""  # why we killed it, if we did
        loop = asyncio.get_running_loop()

        def wait() -> None:
            process.wait()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
                loop.call_soon_threadsafe(self._exited.set)

        threading.Thread(target=wait, name="shoal-child-wait", daemon=True).start()

    @classmethod
    def start(
        cls, role: Role, python: Path, environment: Mapping[str, str], directory: Path
    ) -> DaskChild:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        process = subprocess.Popen(
            [python, "-P", _START, _PROGRAMS[role]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env=environment,
            umask=0o022,  # the agent's own is stricter; a user's files are like anywhere else
        )
        return cls(process)

    def tell(self, command: Command) -> None:
        """Commands are few and small; a child that has gone is noticed by its exit."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(msgspec.json.encode(command) + b"\n")
            self._process.stdin.flush()

    async def attend(self, heard: Callable[[Told], None], line: Callable[[str], None]) -> int:
        """Until it has ended: its messages, its lines; then its exit status (-9: by SIGKILL)."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        async with asyncio.TaskGroup() as group:
            reading = [
                group.create_task(_read_messages(self._process.stdout, heard)),
                group.create_task(_read_lines(self._process.stderr, line)),
            ]
            await self._exited.wait()
            # A process that it started may hold the pipes open for ever.
            await asyncio.wait(reading, timeout=_LAST_WORDS_S)
            for task in reading:
                task.cancel()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        return int(self._process.returncode)

    def kill(self, why: str = "") -> None:
        self.killed_for = why
        if not self._exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def gone(self, within_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._exited.wait()
        return self._exited.is_set()


async def _read_messages(pipe: IO[bytes], heard: Callable[[Told], None]) -> None:
    reader = await _reader(pipe)
    async for line in reader:
        try:
            told = read_told(line)
        except msgspec.MsgspecError as error:
            _log.warning("a message of the Dask process cannot be read: %s", error)
            continue
        heard(told)


async def _read_lines(pipe: IO[bytes], line: Callable[[str], None]) -> None:
    reader = await _reader(pipe)
    splitter = Splitter()
    while data := await reader.read(2**16):
        for text in splitter.feed(data):
            line(text)
    for text in splitter.end():
        line(text)


async def _reader(pipe: IO[bytes]) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader

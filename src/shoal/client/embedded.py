"""The server of this machine: found by its server.json, or started.

One state directory is one server, whoever asks first. It is started apart from the session that
wanted it (its own session and process group, so that neither Ctrl+C nor the end of the session
reaches it), in Shoal's own environment. A server of an older version is asked to stop and is
replaced: clusters go on without it for that while. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import filelock
import httpx2
import msgspec
from packaging.version import Version

from shoal.client.place import Place
from shoal.errors import ServerFault, ServerUnreachable
from shoal.version import VERSION
from shoal.wire import endpoints
from shoal.wire.state_directory import ServerFile, StateDirectory
from shoal.wire.views import ServerInfo

Report = Callable[[str], None]

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
PATIENCE_S = 600.0  # the first start may have an environment to fetch
_LOOK_S = 0.01
_LOG_BYTES = 5_000_000  # a longer log is set aside when a server starts
_LOG_LINES = 12
_HINT = "Start it with: shoal server start"


def ensure(
    state: StateDirectory,
    report: Report = lambda sentence: None,
    settings: Sequence[str] = (),
    *,
    patience_s: float = PATIENCE_S,
) -> Place:
    """The running server, started if there is none; with these flags then. `patience_s`: for a
    start by somebody else."""
    found = running(state)
    if found is None or outdated(found) or lacks(state, found):
        with _starting(state, patience_s):
            found = running(state)
            if found is not None and (outdated(found) or lacks(state, found)):
                clouds = lacks(state, found)
                better = f"one that reaches {', '.join(clouds)}" if clouds else VERSION
                report(f"replacing the Shoal server {found.version} by {better}")
                stop(state)
                found = None
            found = found or _start(state, report, settings)
    return place(found)


@contextlib.contextmanager
def _starting(state: StateDirectory, patience_s: float) -> Iterator[None]:
    """One at a time."""
    lock = filelock.FileLock(state.start_lock, timeout=patience_s)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise ServerUnreachable(
            f"Another process has been starting the Shoal server for {patience_s:.0f} s",
            hint=f"Its log may tell why: {state.server_log}; what may be wrong: shoal doctor",
        ) from error
    try:
        yield
    finally:
        lock.release()


def running(state: StateDirectory) -> ServerFile | None:
    """What server.json says, if a server answers there."""
    found = read(state)
    if found is None or not _process_exists(found.pid):
        return None
    return found if info(found) is not None else None


def read(state: StateDirectory) -> ServerFile | None:
    try:
        return msgspec.json.decode(state.server_file.read_bytes(), type=ServerFile)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def place(found: ServerFile) -> Place:
    try:
        token = Path(found.token_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ServerUnreachable(
            f"The token of the Shoal server cannot be read: {error}",
            hint="Another user's server? SHOAL_STATE_DIR names the directory of yours",
        ) from error
    return Place(found.url, token, _HINT)


def info(found: ServerFile) -> ServerInfo | None:
    """What the server says of itself; None if nobody listens there."""
    try:
        answer = _request(place(found), endpoints.SERVER)
    except (httpx2.NetworkError, httpx2.ProtocolError, httpx2.ConnectTimeout):
        return None
    except httpx2.TimeoutException as error:
        raise ServerUnreachable(
            f"The Shoal server (pid {found.pid}, {found.url}) does not answer",
            hint=f"If it stays so, end process {found.pid}; clusters go on without it",
        ) from error
    try:
        return msgspec.json.decode(answer.content, type=ServerInfo)
    except msgspec.DecodeError:
        return None


def need(state: StateDirectory, cloud: str) -> None:
    """From now on this machine's server has this cloud's own client; `ensure` sees to it."""
    needed = sorted({*needs(state), cloud})
    draft = state.clouds_file.with_suffix(f".{os.getpid()}")
    draft.write_bytes(msgspec.json.encode(needed))
    draft.replace(state.clouds_file)


def needs(state: StateDirectory) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(state.clouds_file.read_bytes(), type=tuple[str, ...])
    except (FileNotFoundError, msgspec.DecodeError):
        return ()


def lacks(state: StateDirectory, found: ServerFile) -> tuple[str, ...]:
    """Clouds that its environment has no client of. One that somebody else made is left as it
    is: the server says what is missing when it is needed."""
    if "SHOAL_RUNTIME_SERVER_PYTHON" in os.environ:
        return ()
    return tuple(it for it in needs(state) if it not in found.clouds)


def outdated(found: ServerFile) -> bool:
    return Version(found.version) < Version(VERSION)


def stop(state: StateDirectory) -> ServerFile | None:
    """Ask the server to end and wait until it has; None: there was none."""
    found = running(state)
    if found is None:
        return None
    _request(place(found), endpoints.STOP_SERVER)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _process_exists(found.pid) and not _free(state):
        if time.monotonic() > deadline:
            raise ServerFault(
                f"The Shoal server (pid {found.pid}) was asked to stop and still runs",
                hint=f"Its log may tell why: {state.server_log}",
            )
        time.sleep(_LOOK_S)
    return found


def _request(place: Place, endpoint: endpoints.Endpoint) -> httpx2.Response:
    with httpx2.Client(verify=False, trust_env=False, timeout=5.0) as client:
        return client.request(
            endpoint.method,
            f"{place.url}{endpoint.path}",
            headers={"authorization": f"Bearer {place.token}"},
        )


def _start(state: StateDirectory, report: Report, settings: Sequence[str]) -> ServerFile:
    """Held by the start lock: nobody else starts one."""
    from shoal.software import runtime

    report("preparing the Shoal server's own environment")
    python = runtime.ensure(",".join(("server", *needs(state))), root=state.runtime)
    report("starting the Shoal server")
    state.server_file.unlink(missing_ok=True)  # of one that was killed
    _set_aside(state.server_log)
    before = state.server_log.stat().st_size if state.server_log.exists() else 0
    process = _spawn([str(python), *arguments(state), *settings], state)
    deadline = time.monotonic() + START_TIMEOUT_S
    while (found := read(state)) is None:
        if process.poll() is not None:
            raise _not_started(state, before, f"ended at once (exit status {process.returncode})")
        if time.monotonic() > deadline:
            raise _not_started(state, before, f"did not come up within {START_TIMEOUT_S:.0f} s")
        time.sleep(_LOOK_S)
    return found


def arguments(state: StateDirectory) -> list[str]:
    return ["-I", "-m", "shoal.server", "--state-dir", str(state.root), "--embedded"]


def _spawn(command: list[str], state: StateDirectory) -> subprocess.Popen[bytes]:
    with state.server_log.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=state.root,
            env=_environment(),
            start_new_session=True,
            creationflags=_detached(),
        )
    # Reaps the server should it end before this session does.
    threading.Thread(target=process.wait, name="shoal-server", daemon=True).start()
    return process


def _environment() -> dict[str, str]:
    """The user's, for the clouds' credentials; without what is of this session alone."""
    kept_out = ("DASK_SHOAL__TOKEN", "DASK_SHOAL__SERVER", "VIRTUAL_ENV")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in kept_out and not name.startswith("PYTHON")
    }


def _detached() -> int:
    """Windows' word for a session of its own; 0 elsewhere."""
    group: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    window: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    return group | window


def _set_aside(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _not_started(state: StateDirectory, before: int, what: str) -> ServerUnreachable:
    with state.server_log.open("rb") as log:
        log.seek(before)
        lines = log.read().decode(errors="replace").splitlines()[-_LOG_LINES:]
    said = "".join(f"\n  {line}" for line in lines) or " nothing"
    return ServerUnreachable(
        f"The Shoal server {what}. It said:{said}",
        hint=f"The whole log: {state.server_log}; what may be wrong: shoal doctor",
    )


def _process_exists(pid: int) -> bool:
    if os.name != "posix":
        return True  # asking it is the only test
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _free(state: StateDirectory) -> bool:
    """Whether no server holds the directory any more. One that ended but is not yet reaped by
    its parent still has a pid."""
    lock = filelock.FileLock(state.server_lock, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        return False
    lock.release()
    return True

"""One server a state directory: how it claims its place, is found, and ends when unused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import msgspec

from shoal.errors import Conflict, ShoalError
from shoal.server import gate
from shoal.server.desk import Desk
from shoal.server.providers import clients_at_hand
from shoal.store import clusters, tokens
from shoal.version import VERSION
from shoal.wire.ids import UserName, WorkspaceName
from shoal.wire.state_directory import ServerFile, StateDirectory
from shoal.wire.views import TokenView

WORKSPACE = WorkspaceName("default")
_LOOK_S = 5.0


@contextlib.contextmanager
def place(state: StateDirectory) -> Iterator[None]:
    """Hold the state directory for the server's whole life, or say who does."""
    lock = filelock.FileLock(state.server_lock, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise Conflict(
            f"A server already runs on {state.root}.",
            hint="Use it, or end it first: shoal server stop",
        ) from None
    try:
        yield
    finally:
        lock.release()


async def own_token(desk: Desk) -> Path:
    """The token of whoever runs this server, in a file that only they can read; made once."""
    file = desk.settings.state.token_file
    if file.exists() and await _known(desk, file.read_text().strip()):
        return file
    secret = gate.new_secret()
    user = UserName(os.environ.get("USER") or os.environ.get("USERNAME") or "me")
    token = TokenView(
        id=f"t-embedded-{os.urandom(4).hex()}",
        user=user,
        workspace=WORKSPACE,
        scopes=("clusters", "admin"),
        created_at=desk.clock(),
        expires_at=None,
    )
    await desk.database.run(tokens.create, token, gate.hash_of(secret))
    _write_private(file, secret)
    return file


async def _known(desk: Desk, secret: str) -> bool:
    try:
        await gate.caller(desk.database, f"Bearer {secret}", desk.clock())
    except ShoalError:
        return False
    return True


def announce(desk: Desk, token_file: Path) -> None:
    """Tell clients where the server is: the last thing done before it answers."""
    told = ServerFile(desk.url, os.getpid(), VERSION, str(token_file), clients_at_hand())
    _write_private(desk.settings.state.server_file, msgspec.json.encode(told).decode())


def withdraw(state: StateDirectory) -> None:
    state.server_file.unlink(missing_ok=True)


async def end_when_unused(desk: Desk) -> None:
    """Nothing to look after and nobody asking for `idle_exit_s`: end."""
    desk.last_request_at = time.monotonic()
    while not desk.stopping.is_set():
        await asyncio.sleep(min(_LOOK_S, desk.settings.idle_exit_s / 4))
        if time.monotonic() - desk.last_request_at < desk.settings.idle_exit_s:
            continue
        with contextlib.suppress(ShoalError):
            if not await desk.database.run(clusters.unsettled, None):
                desk.stopping.set()


def _write_private(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    os.replace(draft, path)

"""Environments: registered by content, with the wheels that no index has."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path

from shoal.errors import InvalidRequest, StoreFault
from shoal.server.desk import Desk, Incoming, Upload
from shoal.store import environment_names as names
from shoal.store import environments as rows
from shoal.wire.endpoints import Nothing
from shoal.wire.environments import Manifest, content_id
from shoal.wire.ids import WorkspaceName
from shoal.wire.views import EnvironmentNeeds

MAX_WHEEL_BYTES = 2 << 30
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WHEEL = re.compile(r"[\w.!+-]{1,240}\.whl")


async def put_environment(desk: Desk, asked: Incoming[None, Manifest]) -> EnvironmentNeeds:
    manifest = asked.body
    if manifest.id != asked.path["environment"]:
        raise InvalidRequest("The environment's id in the path and in the body differ.")
    if bad := [it.filename for it in manifest.wheels if not _SHA256.fullmatch(it.sha256)]:
        raise InvalidRequest(f"Not a SHA-256 in hex: that of {bad[0]}.")
    if bad := [it.filename for it in manifest.wheels if not _WHEEL.fullmatch(it.filename)]:
        raise InvalidRequest(f"Not the name of a wheel: {bad[0]!r}.")
    computed = content_id(manifest)
    if manifest.id != computed:
        raise InvalidRequest(
            f"The content of this environment has the id {computed}, not {manifest.id}.",
            hint="Client and server may be of different versions: update the older one.",
        )
    workspace = asked.caller.workspace
    await desk.database.run(rows.put, workspace, manifest, desk.clock())
    return EnvironmentNeeds(manifest.id, await missing_wheels(desk, workspace, manifest))


async def environment(desk: Desk, asked: Incoming[None, None]) -> Manifest:
    workspace = asked.caller.workspace
    id = await desk.database.run(names.meant, workspace, asked.path["environment"])
    return await desk.database.run(rows.get, workspace, id)


async def missing_wheels(
    desk: Desk, workspace: WorkspaceName, manifest: Manifest
) -> tuple[str, ...]:
    directory = desk.settings.state.wheels_of(workspace)
    return tuple(it.sha256 for it in manifest.wheels if not _is_there(directory / it.sha256))


def _is_there(wheel: Path) -> bool:
    """Then it counts as used now, and stays for a while (passes/forgetting.py)."""
    try:
        os.utime(wheel)
    except FileNotFoundError:
        return False
    return True


async def put_wheel(desk: Desk, asked: Incoming[None, Upload]) -> Nothing:
    """Stored for the workspace, under its SHA-256, whole or not at all."""
    sha256 = asked.path["sha256"]
    if not _SHA256.fullmatch(sha256):
        raise InvalidRequest("Not a SHA-256 in hex.")
    directory = desk.settings.state.wheels_of(asked.caller.workspace)
    try:
        await _keep(directory, sha256, asked.body)
    except OSError as error:
        raise StoreFault(
            f"The wheel cannot be kept: {error.strerror or error}.",
            hint="Free some space on the server's disk, and look at who owns its state directory.",
        ) from error
    return Nothing()


async def _keep(directory: Path, sha256: str, upload: Upload) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=directory, prefix=".upload-")
    try:
        digest = await _write(descriptor, upload)
        if digest != sha256:
            raise InvalidRequest(
                f"The file's SHA-256 is {digest}, not {sha256}.", hint="Upload it again."
            )
        await asyncio.to_thread(os.replace, draft, directory / sha256)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(draft).unlink()


async def _write(descriptor: int, upload: Upload) -> str:
    digest, size = hashlib.sha256(), 0
    with os.fdopen(descriptor, "wb") as file:
        async for chunk in upload.chunks:
            digest.update(chunk)
            size += len(chunk)
            if size > MAX_WHEEL_BYTES:
                raise InvalidRequest(f"The file is larger than {MAX_WHEEL_BYTES} bytes.")
            await asyncio.to_thread(file.write, chunk)
    return digest.hexdigest()

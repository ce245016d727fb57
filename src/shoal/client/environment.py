"""The environment of a cluster: a copy of the local one, a lock file, or one stored before.

`copy` needs no server and runs while it is found; `register` tells it what there is, and uploads
the wheels that it lacks. What a copy is made of is for shoal.software to know.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import assert_never

import msgspec

from shoal.client import arguments, together
from shoal.client.api import Api
from shoal.client.arguments import Software
from shoal.client.progress import Progress, StepName
from shoal.errors import InvalidRequest, NotFound
from shoal.software import agreement, inputs
from shoal.software.sync import (
    Note,
    Synchronised,
    SyncProgress,
    SyncRequest,
    note_lines,
    synchronise,
)
from shoal.software.targets import Target, here
from shoal.wire import endpoints
from shoal.wire.environments import Manifest
from shoal.wire.ids import EnvironmentId
from shoal.wire.specs import Cloud, ClusterSpec
from shoal.wire.state_directory import state_directory
from shoal.wire.views import EnvironmentNeeds

_UPLOADS = 4  # at a time


class Stored(msgspec.Struct, frozen=True):
    """One that the server has, by its name or id, for VMs like these."""

    named: str
    target: Target


Copy = Synchronised | Stored  # of the local one or a file; or one that was stored before


async def copy(software: Software, target: Target | None, progress: Progress) -> Copy:
    """What the server is to be told, made in a thread; the thread ends at its next step when nobody
    waits for it any more (a limit refused the cluster, Ctrl+C)."""
    if software.named and not arguments.environment_file(software.named):
        return Stored(software.named, target or here())
    progress.running(StepName.ENVIRONMENT)
    given_up = threading.Event()

    def told(step: SyncProgress) -> None:
        if given_up.is_set():
            raise _GivenUp
        _tell(progress, step)

    try:
        return await asyncio.to_thread(
            synchronise, request(software, target), cache=state_directory().cache, progress=told
        )
    except asyncio.CancelledError:
        given_up.set()
        raise


class _GivenUp(Exception):
    """Nobody waits for the copy any more."""


def request(software: Software, target: Target | None = None) -> SyncRequest:
    return SyncRequest(
        working_directory=Path.cwd(),
        ignore=software.ignore,
        only=software.only,
        strict=software.strict,
        software=Path(software.named).expanduser() if software.named else None,
        target=target,
    )


def target_of(spec: ClusterSpec) -> Target | None:
    """What the cluster's VMs run, with the session's Python; None: like this machine."""
    match spec.cloud:
        case Cloud.LOCAL | Cloud.SIM | Cloud.WATCHED:
            return None
        case Cloud.GCP | Cloud.AWS | Cloud.AZURE:
            processor = "aarch64" if spec.worker.arm else "x86_64"
            return Target(here().python, f"{processor}-unknown-linux-gnu")
        case _:
            assert_never(spec.cloud)


async def register(api: Api, copied: Copy, progress: Progress) -> EnvironmentId:
    """The id under which the server has it, wheels and all."""
    if isinstance(copied, Stored):
        return await _stored(api, copied, progress)
    manifest = copied.manifest
    needs: EnvironmentNeeds = await api.call(
        endpoints.PUT_ENVIRONMENT, path={"environment": manifest.id}, body=manifest
    )
    await _upload(api, copied, needs, progress)
    progress.noted(note_lines(copied.notes))
    progress.done(StepName.ENVIRONMENT, _words(copied, needs))
    return manifest.id


async def _stored(api: Api, wanted: Stored, progress: Progress) -> EnvironmentId:
    """It must be for such machines, and what this session sends must be understood there."""
    manifest = await _known(api, wanted.named)
    if manifest.platform != wanted.target.platform:
        raise InvalidRequest(
            f"software={wanted.named!r} was made for {manifest.platform}, and these VMs are "
            f"{wanted.target.platform}",
            hint="Save it for them under another name: shoal env save NAME --for …",
        )
    there = {it.name: it.version for it in manifest.packages} | {"python": manifest.python}
    differ = agreement.agreed(f"software={wanted.named!r}", there, agreement.in_this_session())
    progress.noted(note_lines(Note(it.name, it.words) for it in differ))
    called = "" if wanted.named == manifest.id else f"{wanted.named}, "
    progress.done(StepName.ENVIRONMENT, f"{called}{manifest.id}, {len(manifest.packages)} packages")
    return manifest.id


async def _known(api: Api, named: str) -> Manifest:
    try:
        found: Manifest = await api.call(endpoints.ENVIRONMENT, path={"environment": named})
    except NotFound as error:
        raise NotFound(
            f"software={named!r} is neither a file nor an environment that the server has",
            hint=f"Stored are: shoal env list. A file is known by its name: {inputs.known_names()}",
        ) from error
    return found


async def _upload(
    api: Api, copied: Synchronised, needs: EnvironmentNeeds, progress: Progress
) -> None:
    names = {wheel.sha256: wheel.filename for wheel in copied.manifest.wheels}
    limit = asyncio.Semaphore(_UPLOADS)

    async def one(sha256: str) -> None:
        async with limit:
            progress.running(StepName.ENVIRONMENT, f"uploading {names.get(sha256, sha256)}")
            path = copied.wheel_paths[sha256]
            await api.call(endpoints.PUT_WHEEL, path={"sha256": sha256}, body=path)

    try:
        async with asyncio.TaskGroup() as group:
            for sha256 in needs.missing:
                group.create_task(one(sha256))
    except ExceptionGroup as several:
        raise together.first(several) from None


def _tell(progress: Progress, it: SyncProgress) -> None:
    progress.running(StepName.ENVIRONMENT, f"{it.phase} {it.detail}")


def _words(copied: Synchronised, needs: EnvironmentNeeds) -> str:
    words = f"{len(copied.manifest.packages)} packages"
    if needs.missing:
        words += f", {len(needs.missing)} uploaded"
    return words

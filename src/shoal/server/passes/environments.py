"""Realised environments of this machine: byte code for all of each, clones made ahead of those in
use, and an end for unused ones.

A VM of the local cloud clones them by hard links, byte code included. It is compiled here, since
the server outlives the VMs: one environment at a time, at the lowest priority.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from shoal.errors import EnvironmentFailed
from shoal.software import realise

IN_USE_S = 3600.0  # a cluster with it may be asked for again soon
SPARES = 3  # a scheduler and two workers


async def care_for_environments(store: Path, unused_s: float) -> None:
    """EnvironmentFailed at the end if one of them could not be cared for; the others are."""
    if not store.is_dir():
        return
    await asyncio.to_thread(
        realise.prune, store, keep=frozenset(), older_than=time.time() - unused_s
    )
    failed: dict[Path, OSError] = {}
    for made in sorted(store.glob("env-*")):
        try:
            await _care_for(made)
        except OSError as error:
            failed[made] = error
    for made, why in failed.items():
        raise EnvironmentFailed(
            f"{made.name} cannot be made ready for the next VM: {why}.",
            hint=f"VMs still make it themselves. If it is none of Shoal's, remove {made}.",
        ) from why


async def _care_for(made: Path) -> None:
    if not (made / realise.COMPILED).exists():
        await _compile(made)
    used_at = made.stat().st_mtime
    count = SPARES if time.time() - used_at < IN_USE_S else 0
    await asyncio.to_thread(realise.keep_spares, made, count)


async def _compile(made: Path) -> None:
    """Ended with the server: it may take minutes, and goes on where it was."""
    nobody = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *realise.compiling(made), stdin=nobody, stdout=nobody, stderr=nobody
    )
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

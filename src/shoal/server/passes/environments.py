"""Realised environments of this machine: byte code for all of each, and an end for unused ones.

A VM of the local cloud clones them by hard links, byte code included. It is compiled here, since
the server outlives the VMs: one environment at a time, at the lowest priority.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from shoal.software import realise

UNUSED_S = 14 * 86_400.0


async def care_for_environments(store: Path) -> None:
    if not store.is_dir():
        return
    await asyncio.to_thread(
        realise.prune, store, keep=frozenset(), older_than=time.time() - UNUSED_S
    )
    for made in sorted(store.glob("env-*")):
        if not (made / realise.COMPILED).exists():
            await asyncio.to_thread(realise.compile_all, made)

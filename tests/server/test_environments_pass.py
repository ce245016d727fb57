"""A server that stops does not wait for byte code that is being made."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import psutil

from shoal.server.passes.environments import care_for_environments


def test_what_compiles_an_environment_ends_with_the_server(tmp_path: Path) -> None:
    made = tmp_path / "env-1"
    (made / "bin").mkdir(parents=True)
    python, told = made / "bin" / "python", tmp_path / "pid"
    python.write_text(f"#!/bin/sh\necho $$ > {told}.new; mv {told}.new {told}; exec sleep 600\n")
    python.chmod(0o755)

    async def run() -> int:
        caring = asyncio.ensure_future(care_for_environments(tmp_path, 60.0))
        async with asyncio.timeout(30):
            while not told.exists():  # noqa: ASYNC110  another process makes it
                await asyncio.sleep(0.01)
        caring.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await caring
        return int(told.read_text())

    assert not psutil.pid_exists(asyncio.run(run()))

"""A copy of the environment that nobody waits for any more: a limit refused the cluster, say."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from shoal.client import environment
from shoal.client.arguments import Software
from shoal.client.progress import Progress, Snapshot, StepName


class Steps:
    """What is shown of the environment, and a bell for the first of it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.loop = asyncio.get_running_loop()
        self.begun = asyncio.Event()

    def show(self, snapshot: Snapshot) -> None:
        [step] = [it for it in snapshot.steps if it.title == StepName.ENVIRONMENT]
        self.seen.append(step.detail)
        if step.detail:
            self.loop.call_soon_threadsafe(self.begun.set)

    def close(self, snapshot: Snapshot) -> None:
        pass


@pytest.mark.long
def test_it_ends_at_its_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_STATE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    async def run() -> list[str]:
        steps = Steps()
        copying = asyncio.create_task(environment.copy(Software(), None, Progress("mine", steps)))
        await steps.begun.wait()
        copying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await copying
        await steps.loop.shutdown_default_executor()  # waits for the thread
        return steps.seen

    last = asyncio.run(run())[-1]
    assert last.startswith("scanning")

"""How an agent's life ends: for which reason, decided once, awaited by whoever has to act on it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine

import msgspec


class End(msgspec.Struct, frozen=True):
    """`rule`: the stop rule that ended the cluster; empty if it was told to."""

    why: str
    rule: str = ""
    ends_cluster: bool = True  # False: only this VM, or only this process
    ends_vm: bool = True  # False: only this process, by a signal


class Ending:
    def __init__(self) -> None:
        self._decided = asyncio.Event()
        self._end: End | None = None

    def decide(self, end: End) -> None:
        """The first reason counts."""
        if self._end is None:
            self._end = end
            self._decided.set()

    @property
    def decided(self) -> bool:
        return self._end is not None

    async def wait(self) -> End:
        await self._decided.wait()
        assert self._end is not None
        return self._end

    def on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(number, self.decide, _by_signal(number))


def _by_signal(number: signal.Signals) -> End:
    return End(f"the agent was told to end by {number.name}", ends_cluster=False, ends_vm=False)


async def until(
    ending: Ending,
    farewell: Callable[[End], Awaitable[None]],
    *jobs: Coroutine[None, None, None],
) -> End:
    """Run the jobs until the end is decided and the farewell said. A job that fails ends all,
    loudly."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job) for job in jobs]
        end = await ending.wait()
        await farewell(end)
        for task in tasks:
            task.cancel()
    return end

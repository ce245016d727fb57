"""A Dask worker as the agent's child.

It imports Dask while the agent is still finding out where the scheduler is, then starts with what
the agent tells it, reports where it listens, and ends when Dask closes it. There is no Nanny: the
agent restarts it (docs/decisions/0004).

Exit status: 0 closed, by whomever; 2 what was asked cannot be; anything else is a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import traceback
from typing import Any

from .pipe import Message, Pipe

CLOSED, CANNOT_BE = 0, 2
_CLOSE_WITHIN_S = 0.3


def main() -> None:
    pipe = Pipe()
    import distributed  # noqa: F401  half a second, while the agent joins the cluster

    gc.enable()
    pipe.end(asyncio.run(_run(pipe)))


async def _run(pipe: Pipe) -> int:
    pipe.attach()
    while (asked := await pipe.next())["op"] not in ("worker", "stop"):
        pass
    if asked["op"] == "stop":  # told to stop before it began
        return CLOSED
    try:
        worker = _worker(asked)
    except (TypeError, ValueError, ImportError, AttributeError) as error:
        traceback.print_exc()
        pipe.tell("failed", text=f"The Dask worker cannot be made as asked: {error}")
        return CANNOT_BE
    _credentials(asked).attach(worker)
    await worker
    pipe.tell("listening", **_listening(worker))
    stopping = asyncio.create_task(_stop_when_told(pipe, worker))
    await worker.finished()
    stopping.cancel()
    if worker.shoal_was_retired:
        pipe.tell("retired")
    return CLOSED


def _worker(asked: Message) -> Any:
    from distributed.utils import import_term

    from .guarded_pages import guarded
    from .security import security_from

    options = {
        "name": asked["name"],
        "nthreads": asked["nthreads"],
        "memory_limit": asked["memory_limit_bytes"],
        "local_directory": asked["local_directory"],
        "host": f"tls://{asked['host']}",
        "security": security_from(asked["security"]),
        **asked["options"],
    }
    worker_class = _remembering(guarded(import_term(asked["worker_class"]), "worker"))
    return worker_class(asked["scheduler"], **options)


def _credentials(asked: Message) -> Any:
    from .credentials.box import Box
    from .credentials.passing_on import Beyond

    return Box(Beyond(asked.get("cloud", ""), asked.get("metadata", "")))


def _remembering(worker_class: type) -> type:
    """A worker that knows, when it is closed, whether it was asked to hand over its data before."""

    async def close(self: Any, *arguments: Any, **named: Any) -> Any:
        self.shoal_was_retired |= self.status.name == "closing_gracefully"
        return await worker_class.close(self, *arguments, **named)  # type: ignore[attr-defined]

    members = {"close": close, "shoal_was_retired": False}
    return type(worker_class.__name__, (worker_class,), members)


def _listening(worker: Any) -> Message:
    memory = getattr(worker, "memory_manager", None)
    return {
        "address": worker.address,
        "memory_limit_bytes": getattr(memory, "memory_limit", None) or 0,
        "terminate_fraction": _terminate_fraction(),
    }


def _terminate_fraction() -> float:
    """The share of the limit at which Dask's Nanny would end the worker; 0: never."""
    import dask

    return float(dask.config.get("distributed.worker.memory.terminate") or 0)


async def _stop_when_told(pipe: Pipe, worker: Any) -> None:
    while (await pipe.next())["op"] != "stop":
        pass
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(
            worker.close(timeout=_CLOSE_WITHIN_S, executor_wait=False, reason="shoal-stop"),
            _CLOSE_WITHIN_S,
        )
    pipe.end(CLOSED)

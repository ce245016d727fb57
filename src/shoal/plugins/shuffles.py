"""P2P shuffles: begun, begun anew, ended, failed. Found by looking at what Dask keeps of them, so
one that lasts shorter than the time between two looks may be told as begun and ended at once."""

from __future__ import annotations

from typing import Any

from .values import Item, moment, text

_MOST = 1_000  # remembered


class Shuffles:
    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._runs: dict[str, tuple[int, int]] = {}  # id -> Dask's run, the n-th attempt
        self._active: set[str] = set()

    def changed(self, now: float) -> list[Item]:
        extension = self._scheduler.extensions.get("shuffle")
        known = getattr(extension, "_shuffles", {})
        told = []
        states = {}
        for id, runs in list(known.items()):
            if runs:
                states[str(id)] = max(runs, key=lambda it: it.run_id)
        for id, state in states.items():
            told += self._of(id, state, now)
        for id in self._active - states.keys():
            told.append(_event(id, self._runs[id][1], "ended", None, now))
        self._active &= states.keys()
        if len(self._runs) > _MOST:
            self._runs = {id: it for id, it in self._runs.items() if id in states}
        return told

    def _of(self, id: str, state: Any, now: float) -> list[Item]:
        told = []
        run, attempt = self._runs.get(id, (0, 0))
        if state.run_id != run:
            attempt += 1
            self._runs[id] = (state.run_id, attempt)
            what = "started" if attempt == 1 else "restarted"
            told.append(_event(id, attempt, what, state, now))
            self._active.add(id)
        over = state.archived or getattr(state, "_failed", False)
        if over and id in self._active:
            what = "failed" if self._has_failed(id, state) else "ended"
            told.append(_event(id, attempt, what, state, now))
            self._active.discard(id)
        return told

    def _has_failed(self, id: str, state: Any) -> bool:
        """Dask marks one whose own tasks failed; where what was to be shuffled failed, it gives the
        shuffle up without a word, and its barrier is erred."""
        barrier = self._scheduler.tasks.get(f"shuffle-barrier-{id}")
        return getattr(state, "_failed", False) or (
            barrier is not None and barrier.state == "erred"
        )


def _event(id: str, attempt: int, what: str, state: Any, now: float) -> Item:
    workers = getattr(state, "participating_workers", ())
    partitions = getattr(getattr(state, "run_spec", None), "worker_for", ())
    return {
        "item": "shuffle",
        "at": moment(now),
        "id": text(id),
        "run": attempt,
        "what": what,
        "workers": len(workers),
        "partitions": len(partitions),
    }

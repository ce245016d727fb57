"""Signals about what is computed: tasks too small, graphs too large, parts too uneven, data that
moves, tasks that fail."""

from __future__ import annotations

from shoal.core.signals.scene import HISTORY, Finding, Rule, Scene, count, share, size, span
from shoal.wire.telemetry import (
    Computation,
    Severity,
    SignalKind,
    TaskException,
    TaskGroupSample,
)

TINY_S, TINY_TASKS = 0.01, 1_000
OVERHEAD_S = 0.001  # about what a scheduler and a worker spend on each task
HUGE_BYTES, HUGE_S = 10 << 20, 10.0  # Dask itself warns above 10 MiB
SKEW_TIMES, SKEW_BYTES, SKEW_TASKS = 4.0, 100 << 20, 8
LONG_TASK_S, STRAGGLER_TIMES = 30.0, 10.0
TRANSFER_S = 30.0
RETRIED = 3
_DONE = ("memory", "released", "forgotten")


def tiny_tasks(scene: Scene) -> Finding | None:
    worst: Computation | None = None
    for it in _recent(scene):
        many = it.done >= TINY_TASKS
        small = it.compute_s / (it.done or 1) < TINY_S
        if many and small and (worst is None or it.done > worst.done):
            worst = it
    if worst is None:
        return None
    mean_s = worst.compute_s / worst.done
    overhead_s = worst.done * OVERHEAD_S
    times = max(int(0.1 / max(mean_s, 1e-5)), 2)
    return Finding(
        evidence=f"{count(worst.done, 'task')} took {span(mean_s)} each on average, and Dask "
        f"itself needs about {span(OVERHEAD_S)} for one.",
        since=worst.started_at,
        until=worst.stopped_at or scene.now,
        advice=f"Put about {times} times as much into each task: larger chunks= or blocksize=, "
        'fewer partitions (repartition(partition_size="100MB")), or batches of inputs in '
        "client.map(…, batch_size=).",
        numbers={"mean_s": mean_s, "threshold_s": TINY_S, "tasks": worst.done},
        saves=f"About {span(overhead_s * (1 - 1 / times))} of the scheduler's time.",
    )


def huge_graph(scene: Scene) -> Finding | None:
    found = [it for it in _recent(scene) if it.graph_bytes > HUGE_BYTES or it.graph_s > HUGE_S]
    if not found:
        return None
    worst = max(found, key=lambda it: (it.graph_bytes, it.graph_s))
    return Finding(
        evidence=f"A graph of {count(worst.tasks, 'task')} was {size(worst.graph_bytes)} large, "
        f"and the scheduler took {span(worst.graph_s)} to take it in.",
        since=worst.started_at,
        until=worst.stopped_at or scene.now,
        advice="Do not put data into the graph: read it in the workers (dd.read_parquet, "
        "da.from_zarr), or send it once with client.scatter(data, broadcast=True) and pass the "
        "future. A graph of very many tasks: larger chunks=.",
        numbers={
            "graph_bytes": worst.graph_bytes,
            "threshold_bytes": HUGE_BYTES,
            "graph_s": worst.graph_s,
        },
        saves=f"Up to {span(worst.graph_s)} at the start of each such computation.",
    )


def skew(scene: Scene) -> Finding | None:
    threads = max((it.threads for it in scene.samples), default=0)
    names = {it.id for it in _recent(scene)}
    for it in sorted(scene.groups, key=lambda it: -it.compute_s):
        told = _uneven(it, threads) if it.computation in names else ""
        if told:
            return Finding(
                evidence=told,
                since=it.started_at or scene.now,
                until=it.stopped_at or scene.now,
                advice='Cut the data evenly: repartition(partition_size="100MB") or '
                "chunks=; after a filter or a join partitions may be very different. As many "
                f"parts as there are threads at least ({threads}).",
                numbers={
                    "tasks": it.tasks,
                    "threads": threads,
                    "largest_bytes": it.largest_bytes,
                    "longest_s": it.longest_s,
                },
                saves=_waiting(it, threads),
            )
    return None


def _uneven(it: TaskGroupSample, threads: int) -> str:
    finished = it.states.get("memory", 0) + it.states.get("released", 0)
    finished += it.states.get("forgotten", 0)
    if not finished:
        return ""
    mean_bytes = it.bytes / (it.states.get("memory", 0) or finished)
    mean_s = it.compute_s / finished
    many = it.tasks >= SKEW_TASKS
    if many and mean_bytes and it.largest_bytes > max(SKEW_TIMES * mean_bytes, SKEW_BYTES):
        return (
            f"Of the {count(it.tasks, 'part')} of {it.prefix} the largest has "
            f"{size(it.largest_bytes)}, {it.largest_bytes / mean_bytes:.0f} times the mean."
        )
    if many and mean_s and it.longest_s > max(STRAGGLER_TIMES * mean_s, LONG_TASK_S):
        return (
            f"Of the {count(it.tasks, 'task')} of {it.prefix} the longest took "
            f"{span(it.longest_s)}, {it.longest_s / mean_s:.0f} times the mean."
        )
    if it.tasks * 2 <= threads and mean_s > LONG_TASK_S:
        return (
            f"{it.prefix} has only {count(it.tasks, 'task')} of {span(mean_s)} each, and there "
            f"are {threads} threads."
        )
    return ""


def _waiting(it: TaskGroupSample, threads: int) -> str:
    if it.tasks * 2 <= threads:
        return f"{share(1 - it.tasks / threads)} of the threads wait meanwhile."
    mean_s = it.compute_s / (it.tasks or 1)
    if it.longest_s > STRAGGLER_TIMES * mean_s:
        return f"Up to {span(it.longest_s - mean_s)}, for which all wait that need the last part."
    return (
        "How much cannot be told: Dask tells how large parts are, not how long each took. All that "
        "need the last part wait for the largest."
    )


def transfer(scene: Scene) -> Finding | None:
    for it in _recent(scene):
        groups = [group for group in scene.groups if group.computation == it.id]
        moved_s = sum(group.transfer_s for group in groups)
        compute_s = sum(group.compute_s for group in groups)
        if moved_s > TRANSFER_S and moved_s > compute_s:
            return Finding(
                evidence=f"Workers spent {span(moved_s)} fetching data from each other, and "
                f"{span(compute_s)} computing.",
                since=it.started_at,
                until=it.stopped_at or scene.now,
                advice="Fewer and larger workers keep more of it in one place: twice the "
                "worker_cpu= and worker_memory=, half the n_workers=. Reduce early (filter, pick "
                "columns, aggregate) before joining or sorting.",
                numbers={"transfer_s": moved_s, "compute_s": compute_s, "threshold_s": TRANSFER_S},
                saves=f"Up to {share(moved_s / (moved_s + compute_s) / 2)} of the workers' time "
                "with workers twice as large.",
            )
    return None


def erred_retried(scene: Scene) -> Finding | None:
    begun = scene.now - HISTORY
    found = [it for it in scene.exceptions if it.retried and it.last_at >= begun]
    retried = sum(it.retried for it in found)
    if retried < RETRIED:
        return None
    worst = max(found, key=lambda it: it.retried)
    return Finding(
        evidence=f"{count(retried, 'time')} in the last hour a task failed and was tried again, "
        f"mostly {worst.prefix} with {worst.type}: {worst.message[:200]}",
        since=min(it.at for it in found),
        until=max(it.last_at for it in found),
        advice="Mend the cause, or retry inside the task where only a part of it has to be "
        "repeated (an HTTP call). retries= of client.map and compute says how often.",
        workers=tuple(dict.fromkeys(it.worker for it in found)),
        numbers={"retried": retried, "threshold": RETRIED},
        saves=_tried(scene, found),
    )


def _tried(scene: Scene, found: list[TaskException]) -> str:
    """Seconds of computing, by the mean of each prefix."""
    seconds = 0.0
    for it in found:
        groups = [group for group in scene.groups if group.prefix == it.prefix]
        done = sum(group.states.get(state, 0) for group in groups for state in _DONE)
        seconds += it.retried * sum(group.compute_s for group in groups) / (done or 1)
    if not seconds:
        return "How much cannot be told: none of these tasks has been computed to its end yet."
    return f"About {span(seconds)} of a worker's thread: each try computes the whole task again."


def _recent(scene: Scene) -> list[Computation]:
    """Newest first; one that has ended long ago is nobody's business any more."""
    begun = scene.now - HISTORY
    found = [it for it in scene.computations if (it.stopped_at or scene.now) >= begun]
    return sorted(found, key=lambda it: it.started_at, reverse=True)


RULES = (
    Rule(
        SignalKind.TINY_TASKS,
        Severity.ADVICE,
        "Tasks are tiny",
        "a computation of the last hour with 1,000 finished tasks or more that took less than "
        "10 ms each on average",
        "chunks",
        tiny_tasks,
    ),
    Rule(
        SignalKind.HUGE_GRAPH,
        Severity.ADVICE,
        "The task graph is huge",
        "a graph of the last hour larger than 10 MiB, or one that the scheduler took longer than "
        "10 s to take in",
        "client.scatter",
        huge_graph,
    ),
    Rule(
        SignalKind.SKEW,
        Severity.ADVICE,
        "The work is cut unevenly",
        "of 8 parts or more one has more than 100 MiB and 4 times the mean; or one task took more "
        "than 30 s and 10 times the mean; or tasks of more than 30 s are at most half as many as "
        "threads",
        "partition_size",
        skew,
    ),
    Rule(
        SignalKind.TRANSFER,
        Severity.ADVICE,
        "Moving data takes longer than computing",
        "a computation's tasks spent more time fetching data than computing, and more than 30 s",
        "worker_cpu",
        transfer,
    ),
    Rule(
        SignalKind.ERRED_RETRIED,
        Severity.WARNING,
        "Tasks fail and are tried again",
        "3 failed tasks or more were tried again within the last hour",
        "retries",
        erred_retried,
    ),
)

"""Charts that the server draws: lines as polylines, so that a page has them without any script.

Where the package build made the charts that can be zoomed (web/), those take their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import msgspec

from shoal.server.pages import words
from shoal.wire.telemetry import HostSample, SchedulerSample

WIDTH, HEIGHT = 600, 150  # units of the drawing
_COLOURS = 5
_GAP = 3.5  # times the usual distance between two samples, and the line is broken

Sample = SchedulerSample | HostSample


class Line(msgspec.Struct, frozen=True):
    field: str  # of the sample
    label: str
    limit: bool = False  # not a load, but how far one may go: drawn dashed
    scale: float = 1.0  # samples times this are in the chart's unit


class Plan(msgspec.Struct, frozen=True):
    """What a chart shows."""

    title: str
    unit: str  # "%", "cores", "B", "B/s", "s", or "" for things that are counted
    lines: tuple[Line, ...]


CLUSTER: tuple[Plan, ...] = (
    Plan(
        "Tasks",
        "",
        (
            Line("executing", "running"),
            Line("processing", "on workers"),
            Line("queued", "queued"),
            Line("waiting", "waiting"),
        ),
    ),
    Plan(
        "CPU of all workers, in cores",
        "cores",
        (Line("cpu_percent", "used", scale=0.01), Line("threads", "threads", limit=True)),
    ),
    Plan(
        "Memory of all workers",
        "B",
        (
            Line("memory_bytes", "used"),
            Line("managed_bytes", "managed"),
            Line("spilled_bytes", "spilled"),
            Line("memory_limit_bytes", "limit", limit=True),
        ),
    ),
    Plan(
        "Workers",
        "",
        (
            Line("workers", "there"),
            Line("idle_workers", "idle"),
            Line("desired_workers", "useful", limit=True),
        ),
    ),
    Plan(
        "Tasks that are done or stuck",
        "",
        (Line("in_memory", "in memory"), Line("erred", "erred"), Line("no_worker", "no worker")),
    ),
    Plan(
        "Memory that Dask does not know of",
        "B",
        (Line("unmanaged_bytes", "unmanaged"), Line("spilled_bytes", "spilled")),
    ),
    Plan("Data between workers", "B/s", (Line("transfer_bps", "sent"),)),
    Plan("Scheduler’s CPU", "%", (Line("scheduler_cpu_percent", "used"),)),
    Plan(
        "Scheduler’s event loop",
        "s",
        (Line("event_loop_s", "mean tick"), Line("stall_s", "longest stall")),
    ),
    Plan("Scheduler’s memory", "B", (Line("scheduler_memory_bytes", "used"),)),
    Plan("Clients", "", (Line("clients", "clients"), Line("connections", "connections"))),
)
GIL: tuple[Plan, ...] = (  # where gilknocker is installed
    Plan("Python’s lock (GIL) in the scheduler", "%", (Line("gil_share", "held", scale=100.0),)),
)
HOST: tuple[Plan, ...] = (
    Plan(
        "CPU",
        "%",
        (
            Line("cpu_user_percent", "user"),
            Line("cpu_system_percent", "system"),
            Line("cpu_iowait_percent", "waiting for disks"),
            Line("cpu_steal_percent", "stolen"),
        ),
    ),
    Plan(
        "Memory",
        "B",
        (
            Line("memory_used_bytes", "used"),
            Line("managed_bytes", "managed"),
            Line("unmanaged_bytes", "unmanaged"),
            Line("spilled_bytes", "spilled"),
            Line("memory_limit_bytes", "limit", limit=True),
        ),
    ),
    Plan("Network", "B/s", (Line("net_in_bps", "in"), Line("net_out_bps", "out"))),
    Plan("Disk", "B/s", (Line("disk_read_bps", "read"), Line("disk_write_bps", "written"))),
    Plan(
        "Disk space",
        "B",
        (Line("disk_used_bytes", "used"), Line("disk_total_bytes", "total", limit=True)),
    ),
    Plan("Tasks", "", (Line("executing", "running"), Line("processing", "on the worker"))),
    Plan("Processes killed for memory", "", (Line("oom_kills", "since the agent began"),)),
)
GPU: tuple[Plan, ...] = (
    Plan("GPU", "%", (Line("gpu_percent", "used"),)),
    Plan(
        "GPU memory",
        "B",
        (
            Line("gpu_memory_used_bytes", "used"),
            Line("gpu_memory_total_bytes", "total", limit=True),
        ),
    ),
)


class Drawn(msgspec.Struct, frozen=True):
    label: str
    pieces: tuple[str, ...]  # points of polylines
    last: str  # the newest value, in words
    colour: str  # its class


class Chart(msgspec.Struct, frozen=True):
    plan: Plan
    lines: tuple[Drawn, ...]
    top: str  # the value at the upper edge

    @property
    def fields(self) -> str:
        return " ".join(it.field for it in self.plan.lines)

    @property
    def labels(self) -> str:
        return "|".join(it.label for it in self.plan.lines)

    @property
    def limits(self) -> str:
        return " ".join(it.field for it in self.plan.lines if it.limit)

    @property
    def scales(self) -> str:
        return " ".join(f"{it.scale:g}" for it in self.plan.lines)

    @property
    def words(self) -> str:
        return f"{self.plan.title}: " + ", ".join(f"{it.label} {it.last}" for it in self.lines)


def draw(plan: Plan, samples: Sequence[Sample]) -> Chart:
    values = {
        it.field: [float(getattr(one, it.field)) * it.scale for one in samples] for it in plan.lines
    }
    most = max((max(it, default=0.0) for it in values.values()), default=0.0) or 1.0
    times = [one.at for one in samples]
    lines = tuple(
        Drawn(
            it.label,
            _pieces(times, values[it.field], most),
            _last(values[it.field], plan.unit),
            "limit" if it.limit else f"s{number % _COLOURS + 1}",
        )
        for number, it in enumerate(plan.lines)
    )
    return Chart(plan, lines, told(most, plan.unit))


def _last(values: Sequence[float], unit: str) -> str:
    return told(values[-1], unit) if values else "–"


def _pieces(times: Sequence[datetime], values: Sequence[float], most: float) -> tuple[str, ...]:
    if len(times) < 2:
        return ()
    begun, span = times[0], (times[-1] - times[0]).total_seconds() or 1.0
    x = [(at - begun).total_seconds() for at in times]
    usual = sorted(b - a for a, b in pairwise(x))[len(x) // 2 - 1] or 1.0
    pieces: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if number and x[number] - x[number - 1] > _GAP * usual:
            pieces.append([])
        height = HEIGHT - 2 - (HEIGHT - 4) * value / most
        pieces[-1].append(f"{x[number] / span * WIDTH:.1f},{height:.1f}")
    return tuple(" ".join(it) for it in pieces)


def told(value: float, unit: str) -> str:
    match unit:
        case "B":
            return words.size(value)
        case "B/s":
            return f"{words.size(value)}/s"
        case "%":
            return f"{value:.0f} %"
        case "cores":
            return f"{value:.1f}" if value < 10 else f"{value:.0f}"
        case "s":
            return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
        case _:
            return f"{value:,.0f}"


class Mark(msgspec.Struct, frozen=True):
    """Something that happened, for a chart to draw a line at."""

    at: float  # seconds since 1970
    words: str


class Numbers(msgspec.Struct, frozen=True):
    """What the charts that can be zoomed ask for: columns, since that is how they draw."""

    at: list[float]  # seconds since 1970
    series: dict[str, list[float]]
    live: bool
    resolution_s: int
    marks: Sequence[Mark] = ()  # what happened meanwhile


def numbers(
    plans: Sequence[Plan],
    samples: Sequence[Sample],
    resolution_s: int,
    marks: Sequence[Mark] = (),
    *,
    live: bool,
) -> Numbers:
    fields = dict.fromkeys(line.field for plan in plans for line in plan.lines)
    columns = {it: [round(float(getattr(one, it)), 4) for one in samples] for it in fields}
    return Numbers([one.at.timestamp() for one in samples], columns, live, resolution_s, marks)


def group(samples: Sequence[Sample], plans: Sequence[Plan]) -> list[Chart]:
    return [draw(plan, samples) for plan in plans]

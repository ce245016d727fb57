"""What a person sees while a cluster comes up: one source of values, three renderings.

A `Progress` is told what happens and keeps one frozen `Snapshot`; a rendering is handed each new
one: a live table in a terminal, HTML in Jupyter, plain lines where neither fits. Nothing here asks
the server anything. Output goes to stderr: stdout is for the user's data.
"""

from __future__ import annotations

import enum
import importlib
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

import msgspec

from shoal.wire.events import Event, EventKind
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Role
from shoal.wire.views import ClusterStatus, ClusterView, InstanceView, Stage, WorkerCounts

if TYPE_CHECKING:
    from rich.console import RenderableType


class State(enum.StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Step(msgspec.Struct, frozen=True):
    title: str
    state: State = State.WAITING
    detail: str = ""
    seconds: float = 0.0  # that it took, once done


class Snapshot(msgspec.Struct, frozen=True):
    """All that is shown. `seconds`: since the beginning."""

    name: str
    seconds: float
    steps: tuple[Step, ...]
    status: ClusterStatus | None = None
    sentence: str = ""
    workers: WorkerCounts | None = None
    machines: tuple[str, ...] = ()  # "2 × m7i.large in us-east-1b, spot"
    price_uusd_per_hour: int | None = None
    details_url: str = ""
    notes: tuple[str, ...] = ()  # "numpy: 1.26 in place of 2.0, which is not for …"


class Rendering(Protocol):
    def show(self, snapshot: Snapshot) -> None: ...

    def close(self, snapshot: Snapshot) -> None:
        """The last one; what stays on the screen."""
        ...


class StepName(enum.StrEnum):
    """In the order in which they are shown."""

    SERVER = "Server"
    ENVIRONMENT = "Environment"
    SCHEDULER = "Scheduler"
    WORKERS = "Workers"


class Progress:
    """Told by creation.py, from one thread at a time."""

    def __init__(
        self, name: str, rendering: Rendering, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rendering = rendering
        self._clock = clock
        self._begun_at = clock()
        self._step_begun_at: dict[StepName, float] = {}
        self._steps = {name: Step(name.value) for name in StepName}
        self._cluster: ClusterView | None = None
        self._machines: tuple[str, ...] = ()
        self._schedulers: frozenset[InstanceId] = frozenset()
        self._reached: dict[InstanceId, int] = {}
        self._name = name
        self._notes: tuple[str, ...] = ()

    @property
    def snapshot(self) -> Snapshot:
        cluster = self._cluster
        return Snapshot(
            name=cluster.name if cluster else self._name,
            seconds=self._clock() - self._begun_at,
            steps=tuple(self._steps.values()),
            status=cluster.status if cluster else None,
            sentence=cluster.sentence if cluster else "",
            workers=cluster.workers if cluster else None,
            machines=self._machines,
            price_uusd_per_hour=cluster.price_uusd_per_hour if cluster else None,
            details_url=cluster.details_url if cluster else "",
            notes=self._notes,
        )

    def running(self, name: StepName, detail: str = "") -> None:
        self._step_begun_at.setdefault(name, self._clock())
        self._set(name, Step(name.value, State.RUNNING, detail))

    def done(self, name: StepName, detail: str = "") -> None:
        if self._steps[name].state is State.DONE:
            return
        detail = detail or self._steps[name].detail
        seconds = self._clock() - self._step_begun_at.get(name, self._begun_at)
        self._set(name, Step(name.value, State.DONE, detail, seconds))

    def noted(self, notes: tuple[str, ...]) -> None:
        """What workers will not have as it is here. Stays on the screen."""
        if new := tuple(it for it in notes if it not in self._notes):
            self._notes += new
            self._rendering.show(self.snapshot)

    def cluster(self, view: ClusterView) -> None:
        """The cluster as the server sees it now."""
        self._cluster = view
        workers = view.workers
        if workers.wanted and workers.ready >= workers.wanted:
            self.done(StepName.WORKERS, worker_words(workers))
        else:
            self.running(StepName.WORKERS, worker_words(workers))

    def connected(self, workers: int) -> None:
        """This session sees so many workers. The server learns of them a moment later."""
        if self._cluster is None:
            return
        counts = self._cluster.workers
        ready = max(workers, counts.ready)
        missing = max(0, counts.wanted - ready)
        seen = msgspec.structs.replace(
            counts,
            ready=ready,
            preparing=min(counts.preparing, missing),
            launching=min(counts.launching, missing),
        )
        status = ClusterStatus.SCALING if missing else ClusterStatus.READY
        sentence = f"{ready} of {counts.wanted} workers are here"
        self.cluster(
            msgspec.structs.replace(self._cluster, workers=seen, status=status, sentence=sentence)
        )

    def event(self, event: Event) -> None:
        """Something happened in the cluster; of the VMs' stages only the scheduler's is a step."""
        if event.kind is EventKind.INSTANCE_STAGE and event.after == Stage.STARTING:
            self.noted(
                tuple(event.why.split("; ")[1:])
            )  # "importing Dask; Python 3.11.2 in place…"
        if event.kind is EventKind.CLUSTER_READY:
            self.done(StepName.SCHEDULER, "ready")
        elif event.kind is EventKind.INSTANCE_STAGE and event.instance in self._schedulers:
            self._scheduler_stage(event.instance, Stage(event.after))

    def offered(self, words: tuple[str, ...]) -> None:
        """Which machines are likely, before there are any."""
        if words:
            self._machines = words
            self.running(StepName.WORKERS, f"likely {'; '.join(words)}")

    def instances(self, views: tuple[InstanceView, ...]) -> None:
        self._machines = machine_words(views) or self._machines
        schedulers = [view for view in views if view.role is Role.SCHEDULER]
        self._schedulers = frozenset(view.id for view in schedulers)
        if schedulers:
            self._scheduler_stage(schedulers[-1].id, schedulers[-1].stage)
        self._rendering.show(self.snapshot)

    def close(self, *, failed: bool = False) -> None:
        if failed:
            for name, step in self._steps.items():
                if step.state is State.RUNNING:
                    self._steps[name] = msgspec.structs.replace(step, state=State.FAILED)
        self._rendering.close(self.snapshot)

    def _scheduler_stage(self, instance: InstanceId, stage: Stage) -> None:
        """Events and views overtake each other; a VM's stages only rise."""
        rank = list(Stage).index(stage)
        if rank < self._reached.get(instance, 0):
            return
        self._reached[instance] = rank
        if stage is Stage.READY:
            self.done(StepName.SCHEDULER, "ready")
        elif self._steps[StepName.SCHEDULER].state is not State.DONE:
            self.running(StepName.SCHEDULER, stage)

    def _set(self, name: StepName, step: Step) -> None:
        if self._steps[name] != step:
            self._steps[name] = step
            self._rendering.show(self.snapshot)


def worker_words(counts: WorkerCounts) -> str:
    """ "2 of 4 ready, 1 preparing, 1 launching" """
    others = (
        (counts.preparing, "preparing"),
        (counts.launching, "launching"),
        (counts.draining, "draining"),
    )
    parts = [f"{counts.ready} of {counts.wanted} ready"]
    parts += [f"{number} {word}" for number, word in others if number]
    return ", ".join(parts)


def machine_words(views: tuple[InstanceView, ...]) -> tuple[str, ...]:
    """Kinds of machines with how many of each, the most first."""
    kinds: dict[tuple[str, str, bool], int] = {}
    for view in views:
        if view.machine_type:
            kind = (view.machine_type, view.zone, view.spot)
            kinds[kind] = kinds.get(kind, 0) + 1
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        f"{number} × {machine_type}" + (f" in {zone}" if zone else "") + (", spot" if spot else "")
        for (machine_type, zone, spot), number in ordered
    )


def dollars(micro_dollars: int | None) -> str:
    """As many digits as the amount needs to be told from nothing."""
    if micro_dollars is None:
        return "price not known"
    amount = micro_dollars / 1e6
    return f"${amount:,.2f}" if amount == 0 or amount >= 0.1 else f"${amount:.4f}"


def summary(snapshot: Snapshot) -> str:
    """What stays when all is done: one line."""
    parts = [*snapshot.machines]
    if snapshot.price_uusd_per_hour is not None:
        parts.append(f"{dollars(snapshot.price_uusd_per_hour)} an hour")
    parts.append(f"{snapshot.seconds:.1f} s")
    return ", ".join(parts)


class Silent:
    def show(self, snapshot: Snapshot) -> None:
        pass

    def close(self, snapshot: Snapshot) -> None:
        pass


class PlainLines:
    """A line for each step that changes its state, and for workers whenever the counts do."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told: dict[str, Step] = {}
        self._noted = 0

    def show(self, snapshot: Snapshot) -> None:
        for note in snapshot.notes[self._noted :]:
            self._line(snapshot, f"note: {note}")
        self._noted = len(snapshot.notes)
        for step in snapshot.steps:
            if step.state is not State.WAITING and self._told.get(step.title) != step:
                self._told[step.title] = step
                self._line(snapshot, f"{step.title}: {_step_words(step)}")

    def close(self, snapshot: Snapshot) -> None:
        self.show(snapshot)
        if snapshot.status is not None:
            self._line(snapshot, f"{snapshot.sentence or snapshot.status} ({summary(snapshot)})")
        if snapshot.details_url:
            self._line(snapshot, f"details: {snapshot.details_url}")

    def _line(self, snapshot: Snapshot, text: str) -> None:
        print(f"{snapshot.name}: {text}", file=self._out, flush=True)


class Terminal:
    """A live table, redrawn in place by rich."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=out), refresh_per_second=8, transient=False)
        self._started = False

    def show(self, snapshot: Snapshot) -> None:
        if not self._started:
            self._live.start()
            self._started = True
        self._live.update(_table(snapshot))

    def close(self, snapshot: Snapshot) -> None:
        if self._started:
            self._live.update(_table(snapshot), refresh=True)
            self._live.stop()


class Notebook:
    """HTML in the cell's output, replaced in place."""

    def __init__(self) -> None:
        self._ipython = importlib.import_module("IPython.display")
        self._handle = self._ipython.display(self._ipython.HTML(""), display_id=True)

    def show(self, snapshot: Snapshot) -> None:
        self._handle.update(self._ipython.HTML(html(snapshot)))

    def close(self, snapshot: Snapshot) -> None:
        self.show(snapshot)


def rendering(*, show: bool) -> Rendering:
    """The one that fits where this session runs."""
    if not show:
        return Silent()
    if in_jupyter():
        return Notebook()
    if sys.stderr.isatty():
        return Terminal(sys.stderr)
    return PlainLines(sys.stderr)


def html(snapshot: Snapshot) -> str:
    from html import escape

    rows = "".join(
        f"<tr><td>{_MARKS[step.state]}</td><td style='text-align:left'>{escape(step.title)}</td>"
        f"<td style='text-align:left'>{escape(_step_words(step))}</td></tr>"
        for step in snapshot.steps
    )
    notes = "".join(f"<div>Note: {escape(it)}</div>" for it in snapshot.notes)
    link = escape(snapshot.details_url, quote=True)
    details = f" · <a href='{link}' target='_blank'>details</a>" if link else ""
    sentence = escape(snapshot.sentence)
    return (
        f"<div><b>{escape(snapshot.name)}</b> {sentence}<table>{rows}</table>{notes}"
        f"<small>{escape(summary(snapshot))}{details}</small></div>"
    )


_MARKS = {State.WAITING: "·", State.RUNNING: "…", State.DONE: "✓", State.FAILED: "✗"}


def _table(snapshot: Snapshot) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    styles = {State.DONE: "green", State.FAILED: "red", State.RUNNING: "cyan", State.WAITING: "dim"}
    table = Table.grid(padding=(0, 1))
    for step in snapshot.steps:
        style = styles[step.state]
        table.add_row(
            Text(_MARKS[step.state], style), Text(step.title), Text(_step_words(step), "default")
        )
    title = Text(snapshot.name, "bold").append(f"  {snapshot.sentence}", "default")
    foot = Text(summary(snapshot), "dim")
    if snapshot.details_url:
        foot.append(f"  {snapshot.details_url}", "dim")
    notes = [Text(f"note: {it}", "yellow") for it in snapshot.notes]
    return Group(title, table, *notes, foot)


def _step_words(step: Step) -> str:
    took = f" ({step.seconds:.1f} s)" if step.state is State.DONE and step.seconds >= 0.05 else ""
    return f"{step.detail or step.state.value}{took}"


def in_jupyter() -> bool:
    """Asks IPython only if the session has it already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")

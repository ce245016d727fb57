"""How values read on a page: money, times, hardware, and the tone of a state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from markupsafe import Markup, escape

from shoal.server.pages.life import duration
from shoal.wire.events import Event, EventKind
from shoal.wire.specs import ClusterSpec, Range, SpotPolicy, StopRules, Workers
from shoal.wire.telemetry import Computation, Loss, Severity, WorkerEvent
from shoal.wire.views import ClusterStatus, ClusterView, InstanceState, InstanceView, Stage

_TONES: Mapping[str, str] = {
    ClusterStatus.READY: "good",
    ClusterStatus.STARTING: "busy",
    ClusterStatus.SCALING: "busy",
    ClusterStatus.ENDING: "busy",
    ClusterStatus.DEGRADED: "warn",
    ClusterStatus.FAILED: "bad",
    Stage.BOOTING: "busy",
    Stage.PREPARING: "busy",
    Stage.DRAINING: "warn",
    Stage.FAILED: "bad",
    InstanceState.INTENDED: "busy",
    InstanceState.RELEASED: "warn",
}


def tone(word: str) -> str:
    """good, busy, warn, bad or quiet: the colour that goes with the word, never instead of it."""
    return _TONES.get(word, "quiet")


_KIND_TONES: Mapping[EventKind, str] = {
    EventKind.CLUSTER_READY: "good",
    EventKind.CLUSTER_UNABLE: "bad",
    EventKind.CLUSTER_ENDING: "warn",
    EventKind.BATCH_REFUSED: "bad",
    EventKind.LIMIT_REACHED: "warn",
    EventKind.BUDGET_REACHED: "warn",
    EventKind.BUDGET_ENDING: "bad",
    EventKind.VM_SWEPT: "warn",
    EventKind.ALARM: "bad",
}


def kind_tone(it: Event) -> str:
    """As `tone`, of an event: by what it is, and by the stage that a VM came to."""
    if it.kind is EventKind.INSTANCE_STAGE:
        return {Stage.FAILED: "bad", Stage.READY: "good"}.get(Stage(it.after), "quiet")
    return _KIND_TONES.get(it.kind, "quiet")


def money(uusd: int | None) -> str:
    """Dollars from micro-dollars; small sums keep their first digits."""
    if uusd is None:
        return "not known"
    dollars = uusd / 1_000_000
    return f"${dollars:.4f}" if 0 < uusd < 10_000 else f"${dollars:,.2f}"


def moment(at: datetime | None, *, ago: bool = False) -> Markup:
    """UTC for all; the script shows the reader's own zone, or how long ago."""
    if at is None:
        return Markup("–")
    utc = at.astimezone(UTC)
    exact = utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    shown = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    kind = " data-ago" if ago else ""
    return Markup(f'<time datetime="{exact}" title="{shown}"{kind}>{shown}</time>')  # digits alone


def hardware(spec: ClusterSpec) -> str:
    """What a worker is, in words."""
    asked = spec.worker
    parts = [" or ".join(asked.vm_types)] if asked.vm_types else []
    if asked.cpu is not None:
        parts.append(f"{_range(asked.cpu)} vCPU")
    if asked.memory_bytes is not None:
        gib = Range(asked.memory_bytes.least >> 30, asked.memory_bytes.most >> 30)
        parts.append(f"{_range(gib)} GiB")
    if asked.gpu:
        parts.append(f"{asked.gpu} × {asked.gpu_type or 'GPU'}")
    if spec.spot_policy is not SpotPolicy.ON_DEMAND:
        parts.append("spot" if spec.spot_policy is SpotPolicy.SPOT else "spot or on demand")
    return ", ".join(parts) or "any"


def _range(it: Range) -> str:
    return str(it.least) if it.least == it.most else f"{it.least}–{it.most}"


def place(spec: ClusterSpec) -> str:
    where = spec.zone or spec.region
    return f"{spec.cloud} {where}" if where and where != spec.cloud else str(spec.cloud)


def wanted(it: Workers) -> str:
    if not it.adaptive:
        return str(it.wanted)
    return f"{it.wanted}, adaptive between {it.minimum} and {it.maximum}"


def rules(it: StopRules) -> str:
    """When a cluster ends without being told."""
    told = [
        ("idle for", it.idle_timeout_s),
        ("without a client for", it.no_client_timeout_s),
        ("without workers for", it.no_workers_timeout_s),
        ("in any case after", it.cluster_timeout_s),
    ]
    found = [f"{words} {duration(seconds)}" for words, seconds in told if seconds is not None]
    return ", ".join(found) or "never"


def ran(it: ClusterView) -> str:
    return duration(((it.ended_at or datetime.now(UTC)) - it.created_at).total_seconds())


def size(bytes_: float) -> str:
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if bytes_ >= factor:
            return f"{bytes_ / factor:.1f} {unit}"
    return f"{bytes_:.0f} B"


def level(line: str) -> str:
    """bad or warn, where a line of a log says so itself."""
    head = line[:120]
    if any(word in head for word in ("ERROR", "CRITICAL", "Traceback", "Error:")):
        return "bad"
    return "warn" if "WARNING" in head else ""


_SEVERITIES = {Severity.ADVICE: "busy", Severity.WARNING: "warn", Severity.PROBLEM: "bad"}


def severity(it: Severity) -> str:
    return _SEVERITIES[it]


def advised(advice: str, argument: str) -> Markup:
    """Advice, with the argument that it names set as code, and what to set it to."""
    if not argument:
        return escape(advice)
    value = r"""(?:=(?:'[^']*'|"[^"]*"|[^\s,;]+(?<!\.)))?"""
    parts = re.split(rf"(?<!\w)({re.escape(argument)}{value})(?!\w)", advice)
    return Markup("").join(
        Markup("<code>{}</code>").format(it) if n % 2 else escape(it) for n, it in enumerate(parts)
    )


def marked(text: str, wanted: str) -> Markup:
    """A line with what was searched for standing out, in capitals and small letters alike."""
    if not wanted:
        return escape(text)
    parts = re.split(f"({re.escape(wanted)})", text, flags=re.IGNORECASE)
    shown = (f"<mark>{escape(it)}</mark>" if n % 2 else escape(it) for n, it in enumerate(parts))
    return Markup("".join(shown))


def called(it: Computation) -> str:
    """The line that asked for a computation."""
    if not it.code:
        return ""
    frame = it.code[-1]
    lines = frame.code.splitlines()
    at = frame.line - frame.first_line
    return lines[at].strip() if 0 <= at < len(lines) else f"{frame.file}:{frame.line}"


def number(id: str) -> str:
    """Of a VM in its cluster."""
    return id.rpartition("-")[2]


def vm(name: str) -> str:
    """A VM of ours by its number in its cluster; another worker by its own name."""
    return f"VM {number(name)}" if name.startswith("shoal-") else name


_REASONS: Mapping[Loss, str] = {
    Loss.PREEMPTED: "preempted",
    Loss.MEMORY: "killed for memory",
    Loss.CONNECTION: "connection lost",
    Loss.RETIRED: "retired",
    Loss.RESTARTED: "restarted",
    Loss.CLOSED: "closed",
    Loss.CRASHED: "crashed",
}
_LOSS_TONES: Mapping[Loss, str] = {
    Loss.PREEMPTED: "warn",
    Loss.MEMORY: "bad",
    Loss.CONNECTION: "bad",
    Loss.CRASHED: "bad",
}


def reason(it: Loss) -> str:
    return _REASONS[it]


def loss(it: WorkerEvent) -> str:
    """What became of a worker, in a word or three."""
    if it.added:
        return "arrived"
    return _REASONS[it.reason] if it.reason is not None else "lost"


def loss_tone(it: WorkerEvent) -> str:
    if it.added:
        return "good"
    return _LOSS_TONES.get(it.reason, "quiet") if it.reason is not None else "bad"


def standing(it: InstanceView) -> str:
    """The one word that tells most: what the VM does while it is had, else what the cloud owns."""
    return it.stage if it.state is InstanceState.LAUNCHED else it.state

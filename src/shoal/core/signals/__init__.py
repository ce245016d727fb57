"""Signals: what of a cluster deserves attention, with evidence and with advice.

Pure functions over samples: what was measured goes in, a signal or nothing comes out. Each rule has
one threshold, stated in words beside it (docs/reference/signals.md is made from these) and in its
numbers. A rule that lacks the samples it needs finds nothing: what was not seen is not guessed.

    scene     what a rule looks at, what it finds, words for numbers
    memory    pressure, spilling, killed, unmanaged growth
    tasks     tiny, huge graph, skew, transfer, retried
    use       idle, low CPU, oversized, the scheduler's own load
    machines  shuffles that begin anew, zones, slow starts
"""

from __future__ import annotations

from shoal.core.signals import machines, memory, tasks, use
from shoal.core.signals.scene import Finding, Rule, Scene, Start
from shoal.wire.telemetry import Severity, Signal

__all__ = ["RULES", "Finding", "Rule", "Scene", "Start", "signals"]

RULES: tuple[Rule, ...] = (*use.RULES, *memory.RULES, *tasks.RULES, *machines.RULES)
_WORST_FIRST = (Severity.PROBLEM, Severity.WARNING, Severity.ADVICE)


def signals(scene: Scene) -> tuple[Signal, ...]:
    """All that show, the worst first."""
    found = [_signal(rule, it) for rule in RULES if (it := rule.look(scene)) is not None]
    return tuple(sorted(found, key=lambda it: _WORST_FIRST.index(it.severity)))


def _signal(rule: Rule, found: Finding) -> Signal:
    return Signal(
        kind=rule.kind,
        severity=rule.severity,
        title=rule.title,
        evidence=found.evidence,
        advice=found.advice,
        argument=rule.argument,
        since=found.since,
        until=found.until,
        workers=found.workers,
        numbers={name: round(float(value), 4) for name, value in found.numbers.items()},
        saves=found.saves,
        saves_uusd_per_hour=found.saves_uusd_per_hour,
    )

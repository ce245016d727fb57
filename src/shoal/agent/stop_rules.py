"""When a cluster ends without being told, so that no bill runs on unseen. Pure.

The head keeps these rules, with the laptop shut and the server gone. All durations are measured by
a clock that cannot jump, from the moment at which the head first saw the state.
"""

from __future__ import annotations

import msgspec

from shoal.agent.messages import Serving
from shoal.wire.specs import StopRules

_FRESH_S = 10.0  # it speaks every second


class Since(msgspec.Struct, frozen=True):
    """Since when each is so, by a clock that cannot jump; `None`: it is not so, or not known."""

    idle_s: float | None = None
    no_clients_s: float | None = None
    no_workers_s: float | None = None


def fresh(told: Serving | None, age_s: float) -> Serving | None:
    """A scheduler that is too busy to speak is in use, whatever it said last: stalls of minutes
    are known, over huge graphs."""
    return told if age_s < _FRESH_S else None


def since(before: Since, told: Serving | None, now_s: float) -> Since:
    """After another look at the scheduler. One that is not up is not idle either."""
    if told is None:
        return Since()
    return Since(
        idle_s=_began(before.idle_s, told.idle, now_s),
        no_clients_s=_began(before.no_clients_s, told.clients == 0, now_s),
        no_workers_s=_began(before.no_workers_s, told.workers == 0, now_s),
    )


def _began(before_s: float | None, holds: bool, now_s: float) -> float | None:
    if not holds:
        return None
    return now_s if before_s is None else before_s


class Situation(msgspec.Struct, frozen=True):
    """For how long each has been so; `None`: it is not so now (or not yet known)."""

    age_s: float  # of the cluster
    idle_s: float | None = None  # nothing to compute
    no_clients_s: float | None = None  # the scheduler is up and nobody is connected
    no_workers_s: float | None = None  # the scheduler is up and has no workers
    server_silent_s: float = 0.0
    tasks: int = 0  # not yet finished


class Verdict(msgspec.Struct, frozen=True):
    rule: str
    why: str


def verdict(rules: StopRules, seen: Situation) -> Verdict | None:
    """The rule that ends the cluster now, if one does; a hard limit before the others."""
    if _over(seen.age_s, rules.cluster_timeout_s):
        return Verdict("cluster_timeout", f"it has existed for {_words(seen.age_s)}")
    if _over(seen.idle_s, rules.idle_timeout_s):
        return Verdict("idle_timeout", f"it has had nothing to do for {_words(seen.idle_s)}")
    if _over(seen.no_clients_s, rules.no_client_timeout_s):
        return Verdict(
            "no_client_timeout", f"no client has been connected for {_words(seen.no_clients_s)}"
        )
    if _over(seen.no_workers_s, rules.no_workers_timeout_s):
        return Verdict(
            "no_workers_timeout", f"it has had no workers for {_words(seen.no_workers_s)}"
        )
    if seen.tasks == 0 and _over(seen.server_silent_s, rules.server_silence_timeout_s):
        return Verdict(
            "server_silence_timeout",
            f"the server has been silent for {_words(seen.server_silent_s)} and nothing is running",
        )
    return None


def _over(so_s: float | None, limit_s: float | None) -> bool:
    return so_s is not None and limit_s is not None and so_s >= limit_s


def _words(seconds: float | None) -> str:
    whole = int(seconds or 0)
    if whole < 120:
        return f"{whole} seconds"
    if whole < 7200:
        return f"{whole // 60} minutes"
    return f"{whole // 3600} hours"

"""Signals about machines: where they are, how they came, what their loss did."""

from __future__ import annotations

import itertools
import statistics
from datetime import datetime, timedelta

from shoal.core.signals.scene import (
    HISTORY,
    Finding,
    Rule,
    Scene,
    Start,
    count,
    dollars,
    named,
    size,
    span,
)
from shoal.wire.specs import Cloud, SpotPolicy
from shoal.wire.telemetry import Severity, SignalKind
from shoal.wire.views import InstanceState

CROSS_BPS, CROSS_S = 1_000_000.0, 120.0
SLOW_S = 180.0
# Between two zones of one region, sent and received together; list prices as of 2026-11. Between
# regions it is more. Azure charges nothing between zones.
_ACROSS_UUSD_PER_GB = {Cloud.AWS: 20_000, Cloud.GCP: 10_000, Cloud.AZURE: 0}
_LOSS_NEARBY = timedelta(seconds=30)


def shuffle_restarts(scene: Scene) -> Finding | None:
    begun = scene.now - HISTORY
    again = [it for it in scene.shuffles if it.what == "restarted" and it.at >= begun]
    if not again:
        return None
    lost = [
        it
        for it in scene.worker_events
        if not it.added and any(abs(it.at - shuffle.at) < _LOSS_NEARBY for shuffle in again)
    ]
    reasons = ", ".join(sorted({it.reason.value for it in lost if it.reason}))
    because = f" after losing a worker ({reasons})" if reasons else ""
    spot = scene.spec.spot_policy is not SpotPolicy.ON_DEMAND
    advice = (
        'For jobs that shuffle: spot_policy="on-demand", or fewer, larger workers, of which one '
        "is lost less often."
        if spot
        else "See why workers are lost (shoal cluster events); if for memory: worker_memory=."
    )
    return Finding(
        evidence=f"{count(len(again), 'time')} in the last hour a P2P shuffle began anew{because}: "
        "all that it had moved was moved again.",
        since=min(it.at for it in again),
        until=max(it.at for it in again),
        advice=advice,
        workers=named({it.worker for it in lost}),
        numbers={"restarts": len(again), "threshold": 1},
        saves=f"{count(len(again), 'shuffle')} an hour, each of which moves and writes all of its "
        "data again; how long that takes is not measured.",
    )


def cross_zone(scene: Scene) -> Finding | None:
    zones: dict[str, int] = {}
    for it in scene.instances:
        if it.state is InstanceState.LAUNCHED and it.zone:
            zones[it.zone] = zones.get(it.zone, 0) + 1
    samples = scene.last(CROSS_S)
    if len(zones) < 2 or not samples:
        return None
    moved = statistics.fmean(it.transfer_bps for it in samples)
    if moved < CROSS_BPS:
        return None
    regions = {region(scene.spec.cloud, zone) for zone in zones}
    total = sum(zones.values())
    across = 1 - sum((number / total) ** 2 for number in zones.values())
    rate = _ACROSS_UUSD_PER_GB.get(scene.spec.cloud)
    cost = None if rate is None else round(moved * across * 3600 / 1e9 * rate)
    places = ", ".join(f"{number} in {zone}" for zone, number in sorted(zones.items()))
    return Finding(
        evidence=f"The VMs are in {len(zones)} zones ({places}), and workers move "
        f"{size(moved)} a second. If all pairs of them move as much (Dask does not count by pair), "
        f"{size(moved * across)} of it goes from zone to zone"
        + (f", and the zones are of {len(regions)} regions." if len(regions) > 1 else "."),
        since=samples[0].at,
        until=scene.now,
        advice="Keep all VMs in one zone: allow_cross_zone=False with use_best_zone=True; if one "
        "zone has not enough machines, allow more kinds: worker_vm_types=, or a wider "
        "worker_cpu=[…, …].",
        numbers={"zones": len(zones), "transfer_bps": moved, "threshold_bps": CROSS_BPS},
        saves=f"{size(moved * across * 3600)} an hour from zone to zone, {_charged(rate, cost)}.",
        saves_uusd_per_hour=cost or None,
    )


def region(cloud: Cloud, zone: str) -> str:
    """`us-east1-b` (Google) is in us-east1, `us-east-1b` (AWS) in us-east-1; elsewhere zones do
    not say, and are taken for one region's."""
    if cloud is Cloud.AWS:
        return zone.rstrip("abcdefghijklmnopqrstuvwxyz")
    return zone.rpartition("-")[0] if cloud in (Cloud.GCP, Cloud.AZURE) else ""


def _charged(rate: int | None, cost: int | None) -> str:
    if rate is None:
        return "for which no price is known here"
    return f"for which the cloud charges about {dollars(cost)}" if cost else "which is not charged"


def slow_start(scene: Scene) -> Finding | None:
    begun = scene.now - HISTORY
    recent = [it for it in scene.starts if it.asked_at >= begun]
    slow = [
        it for it in recent if ((it.ready_at or scene.now) - it.asked_at).total_seconds() > SLOW_S
    ]
    if not slow or len(slow) * 2 < len(recent):
        return None
    took = statistics.median(
        ((it.ready_at or scene.now) - it.asked_at).total_seconds() for it in slow
    )
    phases = _phases(slow, scene.now)
    longest = max(phases, key=lambda it: phases[it])
    there = sum(it.ready_at is not None for it in slow)
    ready = "until they were ready" if there == len(slow) else f"so far, {there} are ready"
    return Finding(
        evidence=f"{count(len(slow), 'worker')} of {len(recent)} took {span(took)} {ready}; "
        f"{span(phases[longest])} of it {_WORDS[longest]}.",
        since=min(it.asked_at for it in slow),
        until=max(it.ready_at or scene.now for it in slow),
        advice=_ADVICE[longest],
        workers=named(it.instance for it in slow),
        numbers={"median_s": took, "threshold_s": SLOW_S, f"{longest}_s": phases[longest]},
        saves=f"About {span(phases[longest])} at each start.",
    )


def _phases(starts: list[Start], now: datetime) -> dict[str, float]:
    """Median seconds in each phase."""
    spent: dict[str, list[float]] = {it: [] for it in _WORDS}
    for it in starts:
        edges = [it.asked_at, it.launched_at, it.preparing_at, it.starting_at, it.ready_at]
        for phase, (begin, end) in zip(_WORDS, itertools.pairwise(edges), strict=True):
            if begin is not None:
                spent[phase].append(((end or now) - begin).total_seconds())
    return {phase: statistics.median(values) for phase, values in spent.items() if values}


_WORDS = {
    "accepting": "until the cloud accepted them",
    "booting": "booting",
    "preparing": "preparing the environment",
    "starting": "starting Dask",
}
_ADVICE = {
    "accepting": "The cloud had no capacity or a limit was in the way (shoal cluster explain): "
    "allow more kinds of machines (worker_vm_types=, worker_cpu=[…, …]), another region=, or "
    'spot_policy="spot_with_fallback".',
    "booting": "Other machine types boot faster: worker_vm_types=. See the serial console of a VM "
    "(shoal cluster logs --process kernel).",
    "preparing": "Leave out what workers do not need: package_sync_ignore=[…]; or use a stored "
    "environment again: software=.",
    "starting": "Imports at the start of a worker take long: look at preload scripts and plugins "
    "(worker_options=), and at what the environment imports by itself.",
}

RULES = (
    Rule(
        SignalKind.SHUFFLE_RESTARTS,
        Severity.WARNING,
        "Shuffles begin anew",
        "a P2P shuffle began anew within the last hour",
        "spot_policy",
        shuffle_restarts,
    ),
    Rule(
        SignalKind.CROSS_ZONE,
        Severity.ADVICE,
        "Data travels between zones",
        "VMs are in two zones or more, and over 2 minutes workers moved more than 1 MB a second",
        "allow_cross_zone",
        cross_zone,
    ),
    Rule(
        SignalKind.SLOW_START,
        Severity.ADVICE,
        "Workers took long to come",
        "half of the workers asked for within the last hour, or more, took longer than 3 minutes",
        "software",
        slow_start,
    ),
)

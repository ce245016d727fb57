"""The record's upkeep: roll-ups, retention, size; and which signals show.

Telemetry comes when it comes (heads.py); here is what is done about it now and then. Each job is
short, may be missed, and may run on two servers at once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from shoal.server.desk import Desk
from shoal.store import samples, series, telemetry

_log = logging.getLogger(__name__)

MAX_LOG_LINES = 200_000  # a cluster
_ROLL_UP_S, _AGE_S, _SIZE_S = 60.0, 600.0, 60.0


async def roll_up(desk: Desk) -> None:
    await desk.database.run_samples(series.roll_up, desk.clock())


async def age(desk: Desk) -> None:
    now, settings = desk.clock(), desk.settings
    run = desk.database.run_samples
    await run(
        samples.age,
        now,
        logs_for=timedelta(days=settings.log_days),
        metrics_for=timedelta(days=settings.metric_days),
        most_lines=MAX_LOG_LINES,
    )
    await run(telemetry.prune, now - timedelta(days=settings.history_days))


async def hold_size(desk: Desk) -> None:
    most = desk.settings.samples_mib << 20
    if await desk.database.run_samples(samples.size_bytes) > most:
        gone = await desk.database.run_samples(samples.shrink, desk.clock())
        _log.warning(
            "logs and samples took more than %d MiB: the oldest %d items and %d lines are gone; "
            "keep more with --samples-mib, or less long with --log-days and --metric-days",
            most >> 20,
            gone.items,
            gone.log_lines,
        )


JOBS: tuple[tuple[str, float, Callable[[Desk], Awaitable[None]]], ...] = (
    ("roll up metrics", _ROLL_UP_S, roll_up),
    ("forget old samples", _AGE_S, age),
    ("hold the samples' size", _SIZE_S, hold_size),
)

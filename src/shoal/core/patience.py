"""How long to wait after failures: twice as long after each round of them."""

from __future__ import annotations

from datetime import timedelta

from shoal.core.records import Tally, World


def rounds(tally: Tally, missing: int) -> int:
    """A hundred VMs that fail together are one round for the hundred that replace them; one VM
    that fails a hundred times, alone, is a hundred rounds."""
    return -(-tally.failures_in_a_row // max(1, missing))


def must_wait(world: World, tally: Tally, rounds: int) -> bool:
    if not rounds or tally.last_failure_at is None:
        return False
    timing = world.timing
    delay_s = min(timing.retry_s * 2 ** min(rounds - 1, 20), timing.retry_most_s)
    return world.now < tally.last_failure_at + timedelta(seconds=delay_s)

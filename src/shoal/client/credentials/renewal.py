"""When a login is read again. SDKs on the workers ask for newer credentials some time before the
end (botocore 15 minutes, google-auth 4, Azure's 5), so they have to be there by then.
"""

from __future__ import annotations

from datetime import datetime, timedelta

EARLY = timedelta(minutes=20)
SOONEST = timedelta(seconds=30)
AFTER_FAILURE = timedelta(minutes=1)
LEASE = timedelta(hours=1)  # of credentials that do not tell when they end


def due(read_at: datetime, expires_at: datetime) -> datetime:
    """Twenty minutes before the end, or when two thirds of a shorter life are over. A login that
    gives the same credentials again, as Azure's does until shortly before their end, is asked more
    often the nearer that is."""
    life = expires_at - read_at
    return max(read_at + SOONEST, expires_at - min(EARLY, life / 3))

"""What was spent, and what may be."""

from __future__ import annotations

import msgspec

from shoal.wire import limits, views
from shoal.wire.endpoints.kinds import MISSING, Endpoint, Instant


class CostsQuery(msgspec.Struct, frozen=True):
    by: str = "day"  # "day", "user", "cloud", "cluster", "tag", or "tag:KEY"
    since: Instant | None = None  # from the beginning of its UTC day; None: 30 days ago
    until: Instant | None = None  # None: now


COST = Endpoint(
    "cost",
    "GET",
    "/v1/clusters/{cluster}/cost",
    "What a cluster has cost so far, VM by VM",
    "clusters",
    views.CostView,
    problems=MISSING,
)

COSTS = Endpoint(
    "costs",
    "GET",
    "/v1/costs",
    "What the workspace's clusters have cost: by day, user, cloud, cluster or tag",
    "clusters",
    views.CostReport,
    query=CostsQuery,
)

LIMITS = Endpoint(
    "limits",
    "GET",
    "/v1/limits",
    "Limits and budgets of the workspace and its users, with what is in use and spent",
    "clusters",
    limits.LimitsView,
)

CHANGE_LIMITS = Endpoint(
    "change_limits",
    "POST",
    "/v1/limits",
    "Set or clear limits of the workspace, of one user or of each user",
    "admin",
    limits.LimitsView,
    body=limits.ChangeLimits,
)

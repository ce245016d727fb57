"""Where Azure says that spot VMs are likely to be had: Spot Placement Scores.

Its client is a package of its own, in preview; the one call goes by the management API itself. A
zone is as likely as the best of the sizes there. (Microsoft.Compute/locations/placementScores/spot,
2025-06-05; shapes as in azure-mgmt-computerecommender 1.0.0b3; not tried.)
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shoal.core.obtainability import Question

VERSION = "2025-06-05"
MOST_SIZES, MOST_VMS = 5, 1000  # that are scored together
_LIKELY = {"High": 0.9, "Medium": 0.5, "Low": 0.1}  # other words say nothing of capacity


class Score(msgspec.Struct, frozen=True, rename="camel"):
    sku: str = ""
    region: str = ""
    availability_zone: str = ""
    score: str = ""


class Scores(msgspec.Struct, frozen=True, rename="camel"):
    placement_scores: tuple[Score, ...] = ()


def path(subscription: str, region: str) -> str:
    return (
        f"/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{region}"
        f"/placementScores/spot/generate?api-version={VERSION}"
    )


def body(asked: Question) -> dict[str, object]:
    return {
        "desiredLocations": [asked.region],
        "desiredSizes": [{"sku": it} for it in asked.machine_types[:MOST_SIZES]],
        "desiredCount": min(asked.count, MOST_VMS),
        "availabilityZones": True,
    }


def by_zone(told: Scores, asked: Question) -> Mapping[str, float]:
    """By the zones' names as offers have them, "eastus-1"."""
    found: dict[str, float] = {}
    for it in told.placement_scores:
        zone = f"{asked.region}-{it.availability_zone}"
        if it.score in _LIKELY and zone in asked.zones:
            found[zone] = max(found.get(zone, 0.0), _LIKELY[it.score])
    return found

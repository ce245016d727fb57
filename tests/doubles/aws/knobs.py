"""What a test turns at the double of EC2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Knobs:
    regions: tuple[str, ...] = ("us-east-1", "us-west-2")  # enabled in the account
    room: dict[tuple[str, str], int] = field(default_factory=dict)  # (zone, type) → VMs; else many
    quota: dict[str, int] = field(default_factory=dict)  # region → instances
    fleet_errors: dict[tuple[str, str], str] = field(default_factory=dict)  # (zone, type) → code
    throttled: int = 0  # so many of the next calls
    lost_requests: int = 0  # so many of the next changes never arrive
    lost_answers: int = 0  # so many of the next changes are made, and not answered
    lossy: str = ""  # only calls of this name are lost ("CreateFleet"); empty: any change
    scores: dict[str, int] = field(default_factory=dict)  # zone → spot placement score, 1 to 10
    not_granted: frozenset[str] = frozenset()  # actions that the login may not do
    products: list[dict[str, Any]] = field(default_factory=list)  # of the Price List
    vcpu_limit: float = 64.0  # of each kind, as Service Quotas tells it

"""What became of an instant fleet: the VMs that it made, and why there are not more.

EC2 tells an error for each alternative that it tried. Several empty pools are one shortfall, which
names them all, so that the next pass avoids them all; any other error stands by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shoal.clouds.aws.errors import launch_error
from shoal.clouds.provider import LaunchError, NoCapacity, Reach, Shortfall, final, scope
from shoal.core.records import Batch, Offer, Vm

Answer = Mapping[str, Any]  # of CreateFleet


class Alternatives:
    """Offers by what a fleet calls them: a machine type in a subnet."""

    def __init__(self, offers: Sequence[Offer], subnets: Mapping[str, str]) -> None:
        self._offers = {(it.machine_type, subnets[it.zone]): it for it in offers}
        self.first = offers[0]

    def of(self, told: Mapping[str, Any]) -> Offer:
        """An answer that names no subnet is about the first of its type."""
        override = told.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
        type_ = override.get("InstanceType") or told.get("InstanceType", "")
        exact = self._offers.get((type_, override.get("SubnetId", "")))
        similar = [it for (name, _), it in self._offers.items() if name == type_]
        return exact or (similar or [self.first])[0]


def vms(answer: Answer, batch: Batch, alternatives: Alternatives) -> tuple[Vm, ...]:
    """Without addresses: the next listing has them."""
    return tuple(
        _vm(id, batch, alternatives.of(it))
        for it in answer.get("Instances", ())
        for id in it["InstanceIds"]
    )


def shortfalls(
    answer: Answer, batch: Batch, alternatives: Alternatives, now: datetime
) -> tuple[Shortfall, ...]:
    missing = batch.count - sum(len(it["InstanceIds"]) for it in answer.get("Instances", ()))
    if missing <= 0:
        return ()
    first, *others = _reasons(answer, alternatives, now)
    return (Shortfall(missing, first), *(Shortfall(0, it) for it in others))


def _reasons(answer: Answer, alternatives: Alternatives, now: datetime) -> Sequence[LaunchError]:
    """The first that is none of capacity comes first: it is the one that a person can mend. An
    answer comes once: who repeats the call hears the same."""
    errors = []
    for it in answer.get("Errors", ()):
        code, said = str(it.get("ErrorCode", "")), it.get("ErrorMessage", "")
        offer = alternatives.of(it)
        errors.append(final(launch_error(code, said, offer, now=now), offer))
    other = {it.message: it for it in errors if not isinstance(it, NoCapacity)}
    empty = [it for it in errors if isinstance(it, NoCapacity)]
    if not empty and other:
        return list(other.values())
    return [*other.values(), _empty(empty, alternatives.first)]


def _empty(errors: Sequence[NoCapacity], first: Offer) -> NoCapacity:
    """All of the alternatives that were."""
    if not errors:
        return NoCapacity(
            f"AWS started fewer {first.machine_type} than were asked for, and gave no reason.",
            scope=scope(Reach.POOL, first),
        )
    scopes = list(dict.fromkeys(it.scope for it in errors))
    words = "; ".join(dict.fromkeys(it.message for it in errors))
    return NoCapacity(words[:600], scope=scopes[0], hint=errors[0].hint, also=tuple(scopes[1:]))


def _vm(id: str, batch: Batch, offer: Offer) -> Vm:
    return Vm(
        id=id,
        name="",
        batch=batch.id,
        cluster=batch.cluster,
        created_at=batch.created_at,
        region=offer.region,
        zone=offer.zone,
        machine_type=offer.machine_type,
        spot=offer.spot,
        price_uusd_per_hour=offer.price_uusd_per_hour,
    )

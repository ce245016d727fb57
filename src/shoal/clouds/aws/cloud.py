"""Amazon EC2 as a provider: a batch is one instant fleet, its id the fleet's client token.

EC2 gives VMs ids of its own and remembers a token: the same call gives the same answer and no
second VM. A fleet takes what its VMs share from a launch template, which is named after the batch,
made before the fleet and deleted after its answer; one that a lost answer leaves behind is listed
as a leftover.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import anyio
import boto3

from shoal.clouds.aws import inventory, names, outcomes, requests
from shoal.clouds.aws.clients import Clients
from shoal.clouds.aws.ending import end
from shoal.clouds.aws.network import Network, Place, image_name
from shoal.clouds.provider import Launched, LaunchError, Refused, Scope, Unknown, answered
from shoal.core.obtainability import Question
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.wire.accounts import AwsAccount
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Cloud, Role

TIMING = Timing(listing_lag_s=60.0, boot_timeout_s=600.0)
_REGIONS_EVERY_S = 3600.0  # which ones are enabled is looked up anew
_LEFTOVERS_EVERY_S = 300.0  # and, in each, what was left behind; VMs are listed each time
_LEAST_TYPES_SCORED = 3
_EXISTS = frozenset({"InvalidLaunchTemplateName.AlreadyExistsException"})

Offers = Callable[[str | None], Sequence[Offer]]


class AwsCloud:
    cloud = Cloud.AWS

    def __init__(
        self,
        account: AwsAccount,
        installation: InstallationId,
        *,
        clock: Callable[[], datetime],
        offers: Offers = lambda _: (),
        session: boto3.Session | None = None,
        timing: Timing = TIMING,
    ) -> None:
        self.timing = timing
        self._account = account
        self._installation = installation
        self._clock = clock
        self._offers = offers
        self._clients = Clients(account, clock=clock, session=session)
        self._network = Network(account, self._clients)
        self._regions: tuple[str, ...] = ()
        self._regions_at = 0.0
        self._left: dict[str, tuple[float, list[Vm]]] = {}  # by region, and when it was looked at

    async def offers(self, region: str | None) -> Sequence[Offer]:
        return self._offers(region or self._account.region)

    async def launch(self, batch: Batch, boot_text: str) -> Launched:
        region = batch.offers[0].region
        place = await self._network.place(region)
        offers = _within(place, batch)
        try:
            await self._make_template(batch, boot_text, place)
            answer = await self._clients.call(
                lambda: self._clients.ec2(region).create_fleet(
                    **requests.fleet(self._installation, batch, offers, place)
                ),
                about=offers[0],
            )
        except Unknown:
            self._left.pop(region, None)
            raise  # the same call is made again, with the same template
        except LaunchError:
            self._network.forget(region)
            await self._drop_template(batch)
            raise
        await self._drop_template(batch)
        return self._launched(answer, batch, outcomes.Alternatives(offers, place.subnets))

    async def likely(self, asked: Question) -> Mapping[str, float]:
        """Amazon scores each zone from 1 to 10, and calls it by its id ("use1-az2"). Of fewer than
        three types each score would be low (the API's reference says so): it is not asked then."""
        if len(asked.machine_types) < _LEAST_TYPES_SCORED:
            return {}
        ec2 = self._clients.ec2(asked.region)

        def read() -> Mapping[str, float]:
            scores = ec2.get_spot_placement_scores(**requests.scores(asked))
            zones = ec2.describe_availability_zones()["AvailabilityZones"]
            named = {it["ZoneId"]: it["ZoneName"] for it in zones}
            told = scores["SpotPlacementScores"]
            return {
                named[it["AvailabilityZoneId"]]: it["Score"] / 10
                for it in told
                if it.get("AvailabilityZoneId") in named
            }

        return await self._clients.call(read)

    async def list(self) -> Sequence[Vm]:
        """Each enabled region is asked, all at once; or raises what the first to fail said."""
        found: list[Vm] = []
        errors: list[LaunchError] = []

        async def add(region: str) -> None:
            try:
                found.extend(await self._in_region(region))
            except LaunchError as error:
                errors.append(error)

        regions = await self._enabled()
        async with anyio.create_task_group() as group:
            for it in regions:
                group.start_soon(add, it)
        if errors:
            raise errors[0]
        return found

    async def terminate(self, vms: Collection[Vm]) -> None:
        """A call for many of a region. The first error is raised when all were asked."""
        errors: list[LaunchError] = []
        by_region: dict[str, list[Vm]] = defaultdict(list)
        for it in vms:
            by_region[it.region].append(it)

        async def end_in(region: str, held: Sequence[Vm]) -> None:
            if any(it.kind != "vm" for it in held):
                self._left.pop(region, None)
            errors.extend(await end(self._clients, region, held))

        async with anyio.create_task_group() as group:
            for region, held in by_region.items():
                group.start_soon(end_in, region, held)
        if errors:
            raise errors[0]

    # a launch

    async def _make_template(self, batch: Batch, boot_text: str, place: Place) -> None:
        """Once: its name is the batch's."""
        region = batch.offers[0].region
        groups = [place.group]
        if batch.role is Role.SCHEDULER and batch.ingress:
            groups.append(await self._network.ingress(region, place.vpc, batch.ingress))
        image = await self._network.image(region, image_name(self._account, batch))
        request = requests.template(
            self._account, self._installation, batch, boot_text, image, groups
        )
        await self._clients.unless(
            _EXISTS, lambda: self._clients.ec2(region).create_launch_template(**request)
        )

    async def _drop_template(self, batch: Batch) -> None:
        """One that cannot be deleted now is a leftover."""
        region = batch.offers[0].region
        name = names.template(self._installation, batch)
        with contextlib.suppress(LaunchError):
            await self._clients.call(
                lambda: self._clients.ec2(region).delete_launch_template(LaunchTemplateName=name)
            )
            return
        self._left.pop(region, None)

    def _launched(self, answer: Any, batch: Batch, alternatives: outcomes.Alternatives) -> Launched:
        vms = outcomes.vms(answer, batch, alternatives)
        shortfalls = outcomes.shortfalls(answer, batch, alternatives, self._clock())
        return answered(vms, shortfalls)

    # a listing

    async def _enabled(self) -> Sequence[str]:
        """Regions of the account."""
        if not self._regions or time.monotonic() - self._regions_at > _REGIONS_EVERY_S:
            ec2 = self._clients.ec2(self._account.region)
            told = await self._clients.call(ec2.describe_regions)
            self._regions = tuple(sorted(it["RegionName"] for it in told["Regions"]))
            self._regions_at = time.monotonic()
        return self._regions

    async def _in_region(self, region: str) -> Sequence[Vm]:
        def read() -> Sequence[Vm]:
            ec2 = self._clients.ec2(region)
            found = inventory.instances(ec2, self._installation, region)
            looked_at, left = self._left.get(region, (0.0, []))
            if not looked_at or time.monotonic() - looked_at > _LEFTOVERS_EVERY_S:
                left = list(inventory.leftovers(ec2, self._installation, region))
                self._left[region] = time.monotonic(), left
            return [*found, *left]

        return await self._clients.call(read)


def _within(place: Place, batch: Batch) -> Sequence[Offer]:
    """Those in zones in which the network has a subnet."""
    offers = [it for it in batch.offers if it.zone in place.subnets]
    if not offers:
        first = batch.offers[0]
        raise Refused(
            f"The network {place.vpc} has no subnet in {first.zone}.",
            scope=Scope(first.region, first.zone),
            hint=f"It has in {', '.join(sorted(place.subnets))}; add one, or name a zone of these.",
        )
    return offers

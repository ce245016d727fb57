"""Azure as a provider: a batch is one template deployment, whose record makes it idempotent.

The deployment is named by the batch. A launch asks for that record first: if it is there, the batch
was launched, whatever became of its VMs since, and only its outcome is read again. Azure keeps 800
records a resource group and drops the oldest, long after core has stopped repeating a batch.

What Azure lacks: a timer that ends a VM. A VM that its agent has powered off is billed until
somebody deletes it: `list` shows it as not running, and core ends it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import anyio
import msgspec
from azure.core.exceptions import HttpResponseError
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shoal.clouds.azure import inventory, names, outcomes, placement, templates
from shoal.clouds.azure.clients import Clients, Trust, fault_of, record
from shoal.clouds.azure.errors import launch_error
from shoal.clouds.azure.outcomes import Deployment, Operation, Outcome
from shoal.clouds.azure.templates import TYPE_TAG, ZONE_TAG, Maker, Part, Secrets
from shoal.clouds.provider import (
    Launched,
    LaunchError,
    NoCapacity,
    Refused,
    Scope,
    Shortfall,
    Throttled,
    Unknown,
    answered,
)
from shoal.core.obtainability import Question
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.wire.accounts import AzureAccount
from shoal.wire.ids import InstallationId, InstanceId
from shoal.wire.specs import Cloud

PATIENCE_S = 20.0  # for a deployment to find room; afterwards its VMs count as accepted
POLL_S = 2.0
# A listing takes two calls, and two more for each page of VMs. Compute's reads are limited a
# subscription and region, some to 30 a minute (learn.microsoft.com/azure/virtual-machines/
# compute-throttling-limits, read 2026-11): 12 a minute for few VMs, 33 for a thousand.
TIMING = Timing(listing_lag_s=60.0, listing_s=10.0, listing_each_vm_s=0.08, boot_timeout_s=900.0)
_ENDING = 16  # VMs that are asked to end at a time

Offers = Callable[[str | None], Sequence[Offer]]


class AzureCloud:
    cloud = Cloud.AZURE

    def __init__(
        self,
        account: AzureAccount,
        installation: InstallationId,
        *,
        clock: Callable[[], datetime],
        offers: Offers = lambda _: (),
        trust: Trust | None = None,
        timing: Timing = TIMING,
        patience_s: float = PATIENCE_S,
        poll_s: float = POLL_S,
    ) -> None:
        self.timing = timing
        self._account = account
        self._installation = installation
        self._clock = clock
        self._offers = offers
        self._clients = Clients(account, clock=clock, trust=trust)
        self._maker = Maker(account, installation)
        self._patience_s, self._poll_s = patience_s, poll_s

    async def offers(self, region: str | None) -> Sequence[Offer]:
        return self._offers(region or self._account.region)

    async def launch(self, batch: Batch, boot_text: str) -> Launched:
        secrets = Secrets(templates.encoded(boot_text), _ssh_key())
        told: list[Launched] = []
        for part in templates.parts(batch):
            told.append(await self._launch_part(batch, part, secrets))
        return _together(told)

    async def likely(self, asked: Question) -> Mapping[str, float]:
        clients, account = self._clients, self._account
        where, what = placement.path(account.subscription, asked.region), placement.body(asked)
        told = await clients.call(lambda: clients.post(where, what))
        try:
            return placement.by_zone(msgspec.json.decode(told, type=placement.Scores), asked)
        except msgspec.MsgspecError as error:
            raise Unknown(f"Azure's placement scores cannot be read: {error}") from error

    async def list(self) -> Sequence[Vm]:
        found = await self._inventory()
        public = self._account.public_scheduler
        return list(inventory.ours(found, self._installation, public=public))

    async def terminate(self, vms: Collection[Vm]) -> None:
        """A VM takes its disk, interface and address along. An error is raised when all the others
        have been asked; once Azure asks for patience, the rest wait for the next pass."""
        errors: list[LaunchError] = []

        async def end(vm: Vm) -> None:
            if any(isinstance(it, Throttled) for it in errors):
                return
            try:
                await self._clients.found(lambda: self._delete(vm))
            except LaunchError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            for line in range(_ENDING):
                group.start_soon(_each, list(vms)[line::_ENDING], end)
        if errors:
            raise errors[0]

    async def _launch_part(self, batch: Batch, part: Part, secrets: Secrets) -> Launched:
        deployment = await self._deployment(part)
        if deployment is None:
            refused = await self._deploy(batch, part, secrets)
            if refused:
                return Launched((), _refusals(refused, len(part.instances)))
            deployment = await self._deployment(part) or Deployment(part.name)
        deployment = await self._settled(deployment, part)
        offer = _chosen(batch, deployment)
        outcome = await self._outcome(deployment, part, offer)
        await self._remove_failed(outcome)
        vms = tuple(self._accepted(batch, it, offer) for it in outcome.accepted)
        return Launched(vms, outcome.shortfalls)

    async def _deploy(self, batch: Batch, part: Part, secrets: Secrets) -> Sequence[LaunchError]:
        """The alternatives in turn, until Azure accepts one: it refuses what it cannot do before
        it writes the record down. Empty: accepted."""
        refused: list[LaunchError] = []
        for offer in batch.offers:
            error = await self._deploy_as(batch, part, offer, secrets)
            if error is None:
                return ()
            if not isinstance(error, NoCapacity) and not _elsewhere(error):
                raise error
            refused.append(error)
        return refused

    async def _deploy_as(
        self, batch: Batch, part: Part, offer: Offer, secrets: Secrets
    ) -> LaunchError | None:
        body = self._maker.deployment(batch, part, offer, secrets)

        def put() -> HttpResponseError | None:
            try:
                self._clients.deployments.deployments.begin_create_or_update(
                    self._account.resource_group, part.name, body, polling=False
                )
            except HttpResponseError as error:
                return error
            return None

        error = await self._clients.call(put)
        if error is None:
            return None
        cause = fault_of(error).causes()[0]
        if cause.code == "DeploymentActive":
            return None  # another one launches it
        told = launch_error(cause, offer, status=error.status_code or 0, now=self._clock())
        return told if isinstance(told, NoCapacity | Refused) else self._clients.error(error)

    async def _deployment(self, part: Part) -> Deployment | None:
        group = self._account.resource_group
        return await self._clients.found(
            lambda: record(self._clients.deployments.deployments.get(group, part.name), Deployment)
        )

    async def _settled(self, deployment: Deployment, part: Part) -> Deployment:
        """When it is over, or patience is."""
        deadline = time.monotonic() + self._patience_s
        while not deployment.over and time.monotonic() < deadline:
            await anyio.sleep(self._poll_s)
            deployment = await self._deployment(part) or deployment
        return deployment

    async def _outcome(self, deployment: Deployment, part: Part, offer: Offer) -> Outcome:
        operations: Sequence[Operation] = ()
        if deployment.properties.provisioning_state != "Succeeded":
            operations = await self._clients.call(lambda: self._operations(part))
        return outcomes.read(deployment, operations, part.instances, offer, self._clock())

    def _operations(self, part: Part) -> Sequence[Operation]:
        listed = self._clients.deployments.deployment_operations.list(
            self._account.resource_group, part.name
        )
        return [record(it, Operation) for it in listed]

    async def _remove_failed(self, outcome: Outcome) -> None:
        """A VM that got no room stays as a name, with a disk or an address."""
        await self.terminate([self._named(it) for it in outcome.failed])

    def _named(self, name: InstanceId) -> Vm:
        id = names.vm_id(self._account, name)
        return Vm(id=id, name=name, batch="", cluster="", created_at=self._clock())

    def _accepted(self, batch: Batch, name: InstanceId, offer: Offer) -> Vm:
        return Vm(
            id=names.vm_id(self._account, name),
            name=name,
            batch=batch.id,
            cluster=batch.cluster,
            created_at=self._clock(),
            region=offer.region,
            zone=offer.zone,
            machine_type=offer.machine_type,
            spot=offer.spot,
            price_uusd_per_hour=offer.price_uusd_per_hour,
        )

    def _delete(self, vm: Vm) -> None:
        compute, network = self._clients.compute, self._clients.network
        group, name = names.group_of(vm.id), names.last(vm.id)
        match vm.kind:
            case "vm":
                compute.virtual_machines.begin_delete(
                    group, name, force_deletion=True, polling=False
                )
            case "disk":
                compute.disks.begin_delete(group, name, polling=False)
            case "interface":
                network.network_interfaces.begin_delete(group, name, polling=False)
            case "address":
                network.public_ip_addresses.begin_delete(group, name, polling=False)

    async def _inventory(self) -> inventory.Inventory:
        compute, network = self._clients.compute, self._clients.network
        found: dict[str, Sequence[Any]] = {}

        async def read(name: str, pages: Callable[[], Any], shape: type[Any]) -> None:
            found[name] = await self._clients.call(lambda: [record(it, shape) for it in pages()])

        try:
            async with anyio.create_task_group() as group:
                for name, pages, shape in (
                    ("vms", compute.virtual_machines.list_all, inventory.VmEntry),
                    (
                        "powers",
                        lambda: compute.virtual_machines.list_all(status_only="true"),
                        inventory.VmEntry,
                    ),
                    ("interfaces", network.network_interfaces.list_all, inventory.InterfaceEntry),
                    ("addresses", network.public_ip_addresses.list_all, inventory.AddressEntry),
                    ("disks", compute.disks.list, inventory.DiskEntry),
                ):
                    group.start_soon(read, name, pages, shape)
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        return inventory.Inventory(**found)


async def _each(vms: Sequence[Vm], what: Callable[[Vm], Awaitable[None]]) -> None:
    for it in vms:
        await what(it)


def _elsewhere(error: LaunchError) -> bool:
    """A limit of a family or a region: another alternative may pass."""
    return isinstance(error, Refused) and error.scope not in (Scope(), Scope(alone=True))


def _chosen(batch: Batch, deployment: Deployment) -> Offer:
    """By the record's tags: a repeated launch may find an earlier one's choice."""
    tags = deployment.tags or {}
    key = (tags.get(ZONE_TAG), tags.get(TYPE_TAG))
    return next((it for it in batch.offers if (it.zone, it.machine_type) == key), batch.offers[0])


def _refusals(errors: Sequence[LaunchError], count: int) -> tuple[Shortfall, ...]:
    """Alternatives that are empty, as one; each limit by itself."""
    empty = [it for it in errors if isinstance(it, NoCapacity)]
    others = [it for it in errors if not isinstance(it, NoCapacity)]
    if empty:
        also = tuple(it.scope for it in empty[1:])
        first = NoCapacity(empty[0].message, scope=empty[0].scope, hint=empty[0].hint, also=also)
        return (Shortfall(count, first), *(Shortfall(0, it) for it in others))
    return (Shortfall(count, others[0]), *(Shortfall(0, it) for it in others[1:]))


def _together(parts: Sequence[Launched]) -> Launched:
    """Raises where nothing was started for one reason."""
    vms = tuple(chain.from_iterable(it.vms for it in parts))
    shortfalls = tuple(chain.from_iterable(it.shortfalls for it in parts))
    return answered(vms, shortfalls)


def _ssh_key() -> str:
    """A public key whose private half is never kept: nobody logs in."""
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

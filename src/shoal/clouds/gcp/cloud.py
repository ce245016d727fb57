"""Google Cloud as a provider: a batch is one bulk request, its id the request's id.

Compute Engine names VMs as we say and remembers a request's id for at least an hour: the same call
gives the same operation and no second VM. A launch waits a moment for that operation; one that
takes longer is asked about again by the next pass, with the very same call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import anyio
import msgspec
from google.auth import credentials as auth
from google.cloud import compute_v1

from shoal.clouds.gcp import inventory, names, outcomes, requests
from shoal.clouds.gcp.clients import THREADS, Clients
from shoal.clouds.gcp.errors import launch_error
from shoal.clouds.provider import Launched, LaunchError, Throttled, answered
from shoal.core.obtainability import Question
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.wire.accounts import GcpAccount
from shoal.wire.boot import AGENT_PORT, DASHBOARD_PORT, SCHEDULER_PORT
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Cloud, Role

PATIENCE_S = 30.0
_AGAIN_S = 300.0  # a call that came to nothing, and that Google would take for the same
TIMING = Timing(listing_lag_s=60.0, boot_timeout_s=600.0)

Offers = Callable[[str | None], Sequence[Offer]]


class GcpCloud:
    cloud = Cloud.GCP

    def __init__(
        self,
        account: GcpAccount,
        installation: InstallationId,
        *,
        clock: Callable[[], datetime],
        offers: Offers = lambda _: (),
        credentials: auth.Credentials | None = None,
        timing: Timing = TIMING,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.timing = timing
        self._account = account
        self._installation = installation
        self._clock = clock
        self._offers = offers
        self._clients = Clients(account, clock=clock, credentials=credentials)
        self._patience_s = patience_s

    async def offers(self, region: str | None) -> Sequence[Offer]:
        return self._offers(region or self._account.region)

    @property
    def inside_names(self) -> str:
        return names.inside(self._account.project) if self._account.internal_dns else ""

    async def launch(self, batch: Batch, boot_text: str) -> Launched:
        batch = requests.of_one_kind(batch)
        if batch.role is Role.SCHEDULER and batch.ingress:
            await self._let_in(batch)
        operation = await self._insert(batch, boot_text)
        vms = await self._of_batch(batch)
        shortfalls = outcomes.shortfalls(operation, batch, self._clock())
        if vms or outcomes.made(operation):
            return Launched(vms, shortfalls)
        return answered(vms, shortfalls)

    async def likely(self, asked: Question) -> Mapping[str, float]:
        """Google answers with the zone that it recommends, and nothing of the others."""
        clients, request = self._clients, requests.capacity(self._account, asked)
        answer = await clients.call(lambda: clients.ask(clients.advice.capacity, **request))
        return {
            names.last(shard.zone): it.scores.obtainability
            for it in answer.recommendations
            for shard in it.shards
        }

    async def list(self) -> Sequence[Vm]:
        return await self._clients.call(
            lambda: [
                *inventory.vms(self._clients, self._project, self._ours()),
                *inventory.disks(self._clients, self._project, self._ours()),
            ]
        )

    async def terminate(self, vms: Collection[Vm]) -> None:
        """One call a VM: there is none for many. Once Google asks for patience, the rest wait for
        the next pass. The first error is raised when all the others were asked."""
        errors: list[LaunchError] = []
        left = iter(list(vms))

        async def end_some() -> None:
            for vm in left:
                if any(isinstance(it, Throttled) for it in errors):
                    return
                try:
                    await self._clients.found(partial(self._delete, vm))
                except LaunchError as error:
                    errors.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(min(len(vms), THREADS)):
                group.start_soon(end_some)
        if errors:
            raise errors[0]

    async def _insert(self, batch: Batch, boot_text: str) -> Any:
        """Its operation, over or not."""
        clients = self._clients
        request = requests.bulk_insert(self._account, self._installation, batch, boot_text)
        operation = await clients.call(
            lambda: clients.ask(clients.region_instances.bulk_insert_unary, **request),
            about=batch.offers,
        )
        region = batch.offers[0].region
        return await self._waited_for(operation, clients.region_operations, region=region)

    async def _waited_for(self, operation: Any, client: Any, **place: str) -> Any:
        """Until it is over, or patience is."""

        def wait() -> Any:
            """Answers when it is done, or after two minutes at most."""
            request = {"project": self._account.project, "operation": operation.name, **place}
            return client.wait(request=request, retry=None, timeout=self._patience_s)

        deadline = time.monotonic() + self._patience_s
        while operation.status.name != "DONE" and time.monotonic() < deadline:
            operation = await self._clients.call(wait)
        return operation

    async def _of_batch(self, batch: Batch) -> tuple[Vm, ...]:
        wanted = f"{self._ours()} AND labels.{names.BATCH_LABEL}={batch.id}"
        found = await self._clients.call(
            lambda: inventory.vms(self._clients, self._project, wanted), about=batch.offers
        )
        prices = {(it.zone, it.machine_type): it.price_uusd_per_hour for it in batch.offers}
        return tuple(
            msgspec.structs.replace(it, price_uusd_per_hour=prices.get((it.zone, it.machine_type)))
            for it in found
            if it.running
        )

    async def _let_in(self, batch: Batch) -> None:
        """One rule for all clusters that name the same addresses. It is there before the first of
        their heads is launched, which nobody would reach without it."""
        cidrs = batch.ingress
        name = names.ingress_rule(self._account, cidrs)
        ports = [str(SCHEDULER_PORT), str(DASHBOARD_PORT), str(AGENT_PORT)]
        rule = compute_v1.Firewall(
            name=name,
            network=names.network(self._account),
            direction="INGRESS",
            source_ranges=sorted(set(cidrs)),
            target_tags=[name],
            allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=ports)],
            description="Shoal: who may reach the heads of clusters",
        )
        project = names.host(self._account)
        clients = self._clients
        if await clients.found(
            lambda: clients.ask(clients.firewalls.get, project=project, firewall=name)
        ):
            return
        operation = await clients.call(
            lambda: clients.ask(
                clients.firewalls.insert_unary,
                project=project,
                firewall_resource=rule,
                request_id=self._lately("rule", name),
            )
        )
        operation = await self._waited_for(operation, clients.global_operations, project=project)
        for it in operation.error.errors:
            raise launch_error(it.code, it.message, batch.offers, now=self._clock())

    @property
    def _project(self) -> str:
        return self._account.project

    def _ours(self) -> str:
        return f"labels.{names.INSTALLATION_LABEL}={self._installation}"

    def _lately(self, *what: str) -> str:
        """The same for some minutes: Google takes a request with an id that it knows for one that
        was answered, and one that came to nothing has to be made again."""
        turn = int(self._clock().timestamp() // _AGAIN_S)
        return names.request_id(self._installation, *what, str(turn))

    def _delete(self, vm: Vm) -> None:
        clients = self._clients
        zone, name = vm.id.split("/", 1)
        asked = {
            "project": self._account.project,
            "zone": zone,
            "request_id": self._lately("delete", vm.kind, vm.id),
        }
        if vm.kind == "disk":
            clients.ask(clients.disks.delete_unary, disk=name, **asked)
        else:
            clients.ask(clients.instances.delete_unary, instance=name, **asked)

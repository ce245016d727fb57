"""A Google Cloud project examined, prepared and put back, for `shoal setup` and `shoal doctor`.

Prepared are the VMs' identity, a network of its own, a subnet a region and the rule that lets VMs
of it reach each other. What is there already is used as it is, and never removed: none of these can
bear labels, so that what `prepare` made says so in its description. In another project's network
(Shared VPC), only the identity and the rule are made.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from google.auth import credentials as auth
from google.cloud import compute_v1

from shoal.clouds.account import Finding, Step
from shoal.clouds.gcp import identity, names, permissions, quotas
from shoal.clouds.gcp.clients import Clients
from shoal.clouds.gcp.errors import LOG_IN
from shoal.clouds.provider import LaunchError, Refused, Scope
from shoal.core.proposal import Part
from shoal.wire.accounts import GcpAccount
from shoal.wire.specs import Cloud

_PROJECTS = "https://cloudresourcemanager.googleapis.com"
_BILLING = "https://cloudbilling.googleapis.com"
_MARK = f"--description '{names.MADE_BY}'"  # by which --remove knows what setup made
_RANGES = 64  # of /16 in 10.64.0.0/10


class _Thing(msgspec.Struct, frozen=True):
    what: str
    command: str
    get: Callable[[], Any]
    make: Callable[[], Any]
    remove: Callable[[], Any]
    removal: str


class GcpSetup:
    cloud = Cloud.GCP
    permissions = permissions.ALL

    def __init__(
        self,
        account: GcpAccount,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        credentials: auth.Credentials | None = None,
    ) -> None:
        self.account = account
        self._clients = Clients(account, clock=clock, credentials=credentials)
        self._identity = identity.Identity(self._clients, account)
        self._host = {"project": names.host(account)}  # whose network it is

    async def check(self, region: str, asked: Sequence[Part] = ()) -> Sequence[Finding]:
        """Nothing else is looked at where the login fails."""
        what = f"login to project {self.account.project}"
        try:
            place = await self._clients.found(lambda: self._get_region(region))
        except LaunchError as error:
            return [Finding(what, problem=error.message, fix=error.hint or LOG_IN)]
        if place is None:
            return [Finding(f"region {region}", problem="There is no such region.", fix="--region")]
        return [
            Finding(what, found="valid"),
            *await self._looked("permissions", self._permissions()),
            *await self._looked("network", self._all_present(region)),
            *await self._looked("prices", self._prices()),
            *await self._looked("quotas", self._quotas(region, asked)),
        ]

    async def _looked(
        self, what: str, look: Coroutine[Any, Any, Sequence[Finding]]
    ) -> Sequence[Finding]:
        """What cannot be looked at is a finding too, and no end of the examination."""
        try:
            return await look
        except LaunchError as error:
            problem = f"They cannot be looked at: {error.message}"
            return [Finding(what, problem=problem, fix=error.hint, essential=False)]

    async def plan(self, region: str) -> Sequence[Step]:
        return [
            Step(it.what, it.command, done=await self._clients.found(it.get) is not None)
            for it in await self._things(region)
        ]

    def outline(self, region: str) -> Sequence[Step]:
        return [Step(it.what, it.command) for it in self._in(region, free_range(region, ()))]

    async def prepare(self, region: str) -> GcpAccount:
        for it in await self._things(region):
            if await self._clients.found(it.get) is None:
                operation = await self._clients.call(it.make)
                await self._over(operation)
        own = self.account.service_account or identity.email(self.account.project)
        return msgspec.structs.replace(self.account, service_account=own)

    async def remove(self) -> Sequence[Step]:
        """Rules first, then subnets, then the network, which none may use any more; the identity,
        which no VM bears."""
        if users := await self._vms():
            raise Refused(
                f"{len(users)} VMs still use the network, {users[0]} among them.",
                scope=Scope(),
                hint="Stop the clusters first: shoal cluster list",
            )
        steps = []
        for it in await self._made():
            await self._over(await self._clients.found(it.remove))
            steps.append(Step(it.what, it.removal, done=True))
        return steps

    def role(self) -> str:
        return permissions.role(self.account)

    # what is prepared

    async def _things(self, region: str) -> Sequence[_Thing]:
        """In the order in which they are made."""
        return self._in(region, "" if self._shared else await self._range(region))

    def _in(self, region: str, cidr: str) -> Sequence[_Thing]:
        own = [self._service_account()] if identity.is_ours(self.account) else []
        if self._shared:
            return (*own, self._internal())
        return (*own, self._network(), self._subnet(region, cidr), self._internal())

    @property
    def _shared(self) -> bool:
        """The network is another project's, or the subnet is somebody's own."""
        return names.host(self.account) != self.account.project or "/" in self.account.subnet

    def _service_account(self) -> _Thing:
        project = self.account.project
        return _Thing(
            identity.what(project),
            identity.command(project),
            self._identity.get,
            self._identity.make,
            self._identity.remove,
            identity.removal(project),
        )

    async def _range(self, region: str) -> str:
        """Of the subnet that is there, or one that no subnet of the network has: they may not
        overlap (https://cloud.google.com/vpc/docs/subnets)."""
        found = await self._subnets()
        ours = [it for place, it in found if (place, it.name) == (region, self.account.subnet)]
        if ours:
            return str(ours[0].ip_cidr_range)
        network = names.last(names.network(self.account))
        taken = [
            ipaddress.IPv4Network(text)
            for _, it in found
            if names.last(it.network) == network
            for text in (it.ip_cidr_range, *(more.ip_cidr_range for more in it.secondary_ip_ranges))
        ]
        return free_range(region, taken)

    async def _subnets(self) -> Sequence[tuple[str, Any]]:
        """Of the project: region and subnet."""
        clients = self._clients

        def read() -> Sequence[tuple[str, Any]]:
            pages = clients.ask(clients.subnetworks.aggregated_list, **self._host)
            return [(names.last(place), it) for place, found in pages for it in found.subnetworks]

        return await clients.call(read)

    def _network(self) -> _Thing:
        clients, name = self._clients, names.last(self.account.network)
        project = self._host
        body = compute_v1.Network(
            name=name, auto_create_subnetworks=False, description=names.MADE_BY
        )
        return _Thing(
            f"network {name}: for clusters alone",
            f"gcloud compute networks create {name} --subnet-mode custom {_MARK}",
            lambda: clients.ask(clients.networks.get, network=name, **project),
            lambda: clients.ask(clients.networks.insert_unary, network_resource=body, **project),
            lambda: clients.ask(clients.networks.delete_unary, network=name, **project),
            f"gcloud compute networks delete {name}",
        )

    def _subnet(self, region: str, cidr: str) -> _Thing:
        clients, name = self._clients, self.account.subnet
        place = {**self._host, "region": region}
        body = compute_v1.Subnetwork(
            name=name,
            network=names.network(self.account),
            ip_cidr_range=cidr,
            private_ip_google_access=True,
            description=names.MADE_BY,
        )
        return _Thing(
            f"subnet {name} in {region}: {cidr}, and Google's APIs without a NAT",
            f"gcloud compute networks subnets create {name} --network {self.account.network} "
            f"--region {region} --range {cidr} --enable-private-ip-google-access {_MARK}",
            lambda: clients.ask(clients.subnetworks.get, subnetwork=name, **place),
            lambda: clients.ask(
                clients.subnetworks.insert_unary, subnetwork_resource=body, **place
            ),
            lambda: clients.ask(clients.subnetworks.delete_unary, subnetwork=name, **place),
            f"gcloud compute networks subnets delete {name} --region {region}",
        )

    def _internal(self) -> _Thing:
        name = names.internal_rule(self.account)
        body = compute_v1.Firewall(
            name=name,
            network=names.network(self.account),
            direction="INGRESS",
            source_tags=[names.VM_TAG],
            target_tags=[names.VM_TAG],
            allowed=[compute_v1.Allowed(I_p_protocol=it) for it in ("tcp", "udp", "icmp")],
            description=names.MADE_BY,
        )
        what = f"rule {name}: VMs of clusters reach each other, nobody else reaches them"
        network = names.last(self.account.network)
        command = (
            f"gcloud compute firewall-rules create {name} --network {network} "
            f"--source-tags {names.VM_TAG} --target-tags {names.VM_TAG} --allow tcp,udp,icmp "
            f"{_MARK}{self._of_host}"
        )
        return self._rule(name, what, command, body)

    def _rule(self, name: str, what: str, command: str, body: Any = None) -> _Thing:
        clients, project = self._clients, self._host
        return _Thing(
            what,
            command,
            lambda: clients.ask(clients.firewalls.get, firewall=name, **project),
            lambda: clients.ask(clients.firewalls.insert_unary, firewall_resource=body, **project),
            lambda: clients.ask(clients.firewalls.delete_unary, firewall=name, **project),
            f"gcloud compute firewall-rules delete {name}",
        )

    async def _made(self) -> Sequence[_Thing]:
        """By setup, or by launches (rules for heads)."""
        clients, project = self._clients, self._host
        rules = await clients.call(lambda: list(clients.ask(clients.firewalls.list, **project)))
        subnets = await self._subnets()
        network = await clients.found(self._network().get)
        own = names.last(names.network(self.account))
        ours = [
            it
            for it in rules
            if names.last(it.network) == own
            and (it.description == names.MADE_BY or it.name.startswith(names.HEAD_TAG))
        ]
        made = [self._rule(it.name, f"rule {it.name}", "") for it in ours]
        made += [
            self._subnet(region, it.ip_cidr_range)
            for region, it in subnets
            if it.name == self.account.subnet and it.description == names.MADE_BY
        ]
        if network is not None and network.description == names.MADE_BY:
            made.append(self._network())
        identity_of_vms = await clients.found(self._identity.get)
        if identity_of_vms is not None and identity_of_vms.get("description") == names.MADE_BY:
            made.append(self._service_account())
        return made

    async def _vms(self) -> Sequence[str]:
        clients = self._clients

        def read() -> Sequence[str]:
            pages = clients.ask(
                clients.instances.aggregated_list,
                filter=f"labels.{names.INSTALLATION_LABEL}:*",
                **self._project,
            )
            return [it.name for _, found in pages for it in found.instances]

        return await clients.call(read)

    async def _over(self, operation: Any) -> None:
        """Until it is done; its error is raised. None: it was done at once."""
        if operation is None:
            return
        clients = self._clients
        client, place = clients.global_operations, dict(self._host)
        if operation.region:
            client, place["region"] = clients.region_operations, names.last(operation.region)
        while operation.status.name != "DONE":
            ask = partial(clients.ask, client.wait, operation=operation.name, **place)
            operation = await clients.call(ask)
        for it in operation.error.errors:
            raise Refused(it.message, scope=Scope(), hint="Mend it, and run setup again.")

    # what is looked at

    def _get_region(self, region: str) -> Any:
        return self._clients.ask(self._clients.regions.get, region=region, **self._project)

    async def _all_present(self, region: str) -> Sequence[Finding]:
        found = [await self._present(it) for it in await self._things(region)]
        if self._shared:
            found.append(await self._subnet_of_others(region))
        return found

    async def _subnet_of_others(self, region: str) -> Finding:
        path = names.subnet(self.account, region)
        if await self._clients.found(lambda: self._clients.get(path, {"fields": "name"})):
            return Finding(f"subnet {path}", found="there")
        fix = "Ask for it in the project whose network it is, or name another: --set subnet=…"
        return Finding(f"subnet {path}", problem="It is not there.", fix=fix)

    async def _prices(self) -> Sequence[Finding]:
        """Without them, those of the snapshot are shown, with its date."""
        what = "API cloudbilling.googleapis.com: prices of today"
        path = "/v1/services?pageSize=1"
        try:
            await self._clients.call(lambda: self._clients.rest("GET", _BILLING, path))
        except LaunchError as error:
            fix = f"gcloud services enable cloudbilling.googleapis.com {self._of_project}"
            return [Finding(what, problem=error.message, fix=fix, essential=False)]
        return [Finding(what, found="switched on")]

    async def _quotas(self, region: str, asked: Sequence[Part]) -> Sequence[Finding]:
        found: list[Finding] = []
        for place, path in (
            (region, f"projects/{self.account.project}/regions/{region}"),
            ("all regions", f"projects/{self.account.project}"),
        ):
            text = await self._clients.call(partial(self._clients.get, path, {"fields": "quotas"}))
            told = msgspec.json.decode(text, type=quotas.Quotas)
            found += quotas.findings(told.quotas, place, asked, self.account)
        return found

    async def _present(self, thing: _Thing) -> Finding:
        if await self._clients.found(thing.get) is not None:
            return Finding(thing.what, found="there")
        fix = f"shoal setup gcp, or: {thing.command}"
        return Finding(thing.what, problem="It is not there yet.", fix=fix)

    async def _permissions(self) -> Sequence[Finding]:
        """The login's own: it may be another than the server's."""
        wanted = [it.name for it in permissions.ALL]
        granted = await self._clients.call(lambda: self._granted(wanted))
        return [_allowed(it.name, it.why, granted) for it in permissions.ALL]

    def _granted(self, wanted: Sequence[str]) -> frozenset[str]:
        path = f"/v1/projects/{self.account.project}:testIamPermissions"
        answer = self._clients.rest("POST", _PROJECTS, path, {"permissions": list(wanted)})
        return frozenset(answer.get("permissions", ()))

    @property
    def _project(self) -> dict[str, str]:
        return {"project": self.account.project}

    @property
    def _of_project(self) -> str:
        return f"--project {self.account.project}"

    @property
    def _of_host(self) -> str:
        """For commands about a network that is another project's."""
        host = self._host["project"]
        return "" if host == self.account.project else f" --project {host}"


def free_range(region: str, taken: Sequence[ipaddress.IPv4Network]) -> str:
    """A /16 of 10.64.0.0/10: the one by the region's name, or the next that is free."""
    first = hashlib.sha256(region.encode()).digest()[0] % _RANGES
    for number in range(first, first + _RANGES):
        found = ipaddress.IPv4Network(f"10.{64 + number % _RANGES}.0.0/16")
        if not any(found.overlaps(it) for it in taken):
            return str(found)
    raise Refused(
        f"Each /16 of 10.64.0.0/10 is taken: there is none for a subnet in {region}.",
        scope=Scope(alone=True),
        hint="Make the subnet by yourself, and name it: shoal setup gcp --set subnet=NAME",
    )


def _allowed(name: str, why: str, granted: frozenset[str]) -> Finding:
    if name in granted:
        return Finding(f"permission {name}", found="granted")
    return Finding(
        f"permission {name}",
        problem=f"It is missing: {why}.",
        fix="shoal setup gcp --print shows a role with all of them",
    )

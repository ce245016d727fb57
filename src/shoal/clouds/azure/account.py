"""An Azure subscription examined, prepared and put back, for `shoal setup` and `shoal doctor`.

Prepared are a resource group and, a region, a virtual network with a subnet and a closed security
group. Every step is a PUT by name, so the whole is idempotent; what is there already and is not
tagged as ours is used and never removed. The VMs' identity is made too, and may do nothing: giving
it rights needs an owner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from shoal.clouds.account import Finding, Permission, Step
from shoal.clouds.azure import identity, names, network, permissions, quotas
from shoal.clouds.azure.clients import Clients, Trust, record
from shoal.clouds.azure.images import UBUNTU
from shoal.clouds.provider import LaunchError, Refused, Scope
from shoal.core.batches import INSTALLATION_TAG
from shoal.core.proposal import Part
from shoal.wire.accounts import AzureAccount, CloudAccount
from shoal.wire.specs import Cloud

_NETWORK_VERSION = "api-version=2024-05-01"


class _Thing(msgspec.Struct, frozen=True):
    """Any resource."""

    id: str = ""
    name: str = ""
    location: str = ""
    tags: dict[str, str] | None = None

    @property
    def prepared(self) -> bool:
        return (self.tags or {}).get(names.MADE_BY_TAG) == names.SETUP

    @property
    def is_a_clusters(self) -> bool:
        return INSTALLATION_TAG in (self.tags or {})


class _Registration(msgspec.Struct, frozen=True, rename="camel"):
    registration_state: str = ""


class _Subnets(msgspec.Struct, frozen=True):
    subnets: tuple[_Thing, ...] = ()


class _Network(msgspec.Struct, frozen=True):
    location: str
    properties: _Subnets = _Subnets()


class AzureSetup:
    cloud: Cloud = Cloud.AZURE
    account: CloudAccount
    permissions: Sequence[Permission] = permissions.ALL

    def __init__(
        self,
        account: AzureAccount,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        trust: Trust | None = None,
    ) -> None:
        self.account = self._account = account
        self._clients = Clients(account, clock=clock, trust=trust)

    async def check(self, region: str, asked: Sequence[Part] = ()) -> Sequence[Finding]:
        """Nothing else is looked at where the login fails."""
        login = await self._login()
        if login.problem:
            return [login]
        return [
            login,
            *await self._registrations(),
            *await self._permissions(),
            *[await self._present(it) for it in self._things(region)],
            *await self._named_network(region),
            *await self._named_identity(),
            *await self._quotas(region, asked),
            await self._image(region),
        ]

    async def plan(self, region: str) -> Sequence[Step]:
        return [
            Step(it.what, it.command, done=await self._clients.found(it.get) is not None)
            for it in self._things(region)
        ]

    async def prepare(self, region: str) -> AzureAccount:
        for it in self._things(region):
            if await self._clients.found(it.get) is None:
                await self._clients.call(it.put)
        return msgspec.structs.replace(
            self._account, identity=self._account.identity or identity.own(self._account)
        )

    async def remove(self) -> Sequence[Step]:
        """Networks and security groups that `prepare` or a launch made; the group too when it is
        ours and nothing else is in it."""
        found = await self._prepared()
        if users := [it for it in await self._vms() if it.is_a_clusters]:
            raise Refused(
                f"{len(users)} VMs still use what would be removed, {users[0].name} among them.",
                scope=Scope(),
                hint="Stop the clusters first: shoal cluster list",
            )
        steps = []
        for thing, delete, kind in found:
            await self._clients.found(lambda delete=delete: delete().result())  # type: ignore[misc]
            steps.append(_removed(kind, thing, self._account))
        return [*steps, *await self._remove_group()]

    def role(self) -> str:
        return permissions.role(self._account)

    # what is prepared

    def _things(self, region: str) -> Sequence[_Prepared]:
        """In the order in which they are made."""
        account, group = self._account, self._account.resource_group
        nets, groups = self._clients.network, self._clients.groups
        net, closed = names.network_name(account, region), names.closed_group(region)
        subnet = names.subnet_name(account, region)
        made = [
            _Prepared(
                f"resource group {group}: holds all that Shoal makes",
                f"az group create -n {group} -l {account.region}",
                lambda: groups.resource_groups.get(group),
                lambda: groups.resource_groups.create_or_update(group, network.group(account)),
            )
        ]
        if account.identity in ("", identity.own(account)):
            made.append(
                _Prepared(
                    identity.WHAT,
                    identity.command(account),
                    lambda: identity.get(groups, identity.own(account)),
                    lambda: identity.put(groups, account),
                )
            )
        if not names.own_network(account, region):
            made.append(
                _Prepared(
                    f"virtual network {net}: VMs reach each other",
                    f"az network vnet create -g {group} -n {net} -l {region} "
                    f"--address-prefixes {network.prefix(region)} --subnet-name {subnet}",
                    lambda: nets.virtual_networks.get(group, net),
                    lambda: nets.virtual_networks.begin_create_or_update(
                        group, net, network.network(account, region)
                    ).result(),
                )
            )
        made.append(
            _Prepared(
                f"security group {closed}: nobody else reaches them",
                f"az network nsg create -g {group} -n {closed} -l {region}",
                lambda: nets.network_security_groups.get(group, closed),
                lambda: nets.network_security_groups.begin_create_or_update(
                    group, closed, network.closed(region)
                ).result(),
            )
        )
        return made

    async def _prepared(self) -> Sequence[tuple[_Thing, Callable[[], Any], str]]:
        """Security groups before networks makes no difference to Azure; a person reads it so."""
        nets, group = self._clients.network, self._account.resource_group
        if (
            await self._clients.found(lambda: self._clients.groups.resource_groups.get(group))
            is None
        ):
            return []
        kinds: list[tuple[str, Any]] = [
            ("nsg", nets.network_security_groups),
            ("vnet", nets.virtual_networks),
        ]
        found: list[tuple[_Thing, Callable[[], Any], str]] = []
        for kind, client in kinds:
            listed = await self._clients.call(
                lambda client=client: [record(it, _Thing) for it in client.list(group)]  # type: ignore[misc]
            )
            for it in listed:
                if it.prepared:
                    found.append((it, _deletion(client, group, it.name), kind))
        return [*found, *await self._prepared_identity()]

    async def _prepared_identity(self) -> Sequence[tuple[_Thing, Callable[[], Any], str]]:
        groups, account = self._clients.groups, self._account
        body = await self._clients.found(lambda: identity.get(groups, identity.own(account)))
        if body is None or not record(body, _Thing).prepared:
            return []
        return [(record(body, _Thing), lambda: identity.delete(groups, account), "identity")]

    async def _vms(self) -> Sequence[_Thing]:
        group, compute = self._account.resource_group, self._clients.compute
        listed = await self._clients.found(
            lambda: [record(it, _Thing) for it in compute.virtual_machines.list(group)]
        )
        return listed or ()

    async def _remove_group(self) -> Sequence[Step]:
        groups, name = self._clients.groups, self._account.resource_group
        body = await self._clients.found(lambda: groups.resource_groups.get(name))
        if body is None or not record(body, _Thing).prepared:
            return []
        rest = await self._clients.call(
            lambda: [it.name for it in groups.resources.list_by_resource_group(name)]
        )
        if rest:
            return []
        await self._clients.found(lambda: groups.resource_groups.begin_delete(name).result())
        return [Step(f"resource group {name}", f"az group delete -n {name}", done=True)]

    # what is looked at

    async def _login(self) -> Finding:
        path = f"/subscriptions/{self._account.subscription}?api-version=2022-12-01"
        what = f"login to subscription {self._account.subscription}"
        try:
            await self._clients.call(lambda: self._clients.get(path))
        except LaunchError as error:
            return Finding(what, problem=error.message, fix=error.hint or "az login")
        return Finding(what, found="valid")

    async def _registrations(self) -> Sequence[Finding]:
        return [await self._registration(it) for it in permissions.PROVIDERS]

    async def _registration(self, provider: str) -> Finding:
        path = f"{self._root}/providers/{provider}?api-version=2021-04-01"
        told: _Registration = await self._get(path, _Registration)
        state = told.registration_state
        if state == "Registered":
            return Finding(f"resource provider {provider}", found=state)
        return Finding(
            f"resource provider {provider}",
            found=state,
            problem=f"The subscription has not switched {provider} on.",
            fix=f"az provider register --namespace {provider}",
        )

    async def _permissions(self) -> Sequence[Finding]:
        """The login's own: it may be another than the server's."""
        group = names.group_id(self._account)
        here = await self._clients.found(lambda: self._clients.get(_grants_path(group)))
        wide = await self._get(_grants_path(self._root), permissions.Grants)
        near = msgspec.json.decode(here, type=permissions.Grants) if here else wide
        return [
            *(_allowed(it.name, it.why, near) for it in permissions.IN_GROUP),
            *(_allowed(it.name, it.why, wide) for it in permissions.IN_SUBSCRIPTION),
        ]

    async def _present(self, thing: _Prepared) -> Finding:
        if await self._clients.found(thing.get) is not None:
            return Finding(thing.what, found="there")
        return Finding(
            thing.what,
            problem="It is not there yet.",
            fix=f"shoal setup azure, or: {thing.command}",
        )

    async def _named_network(self, region: str) -> Sequence[Finding]:
        """It is there, in this region, with the subnet that VMs go to."""
        own = names.own_network(self._account, region)
        if not own:
            return []
        what = f"network {names.last(own)} in {region}"
        body = await self._clients.found(lambda: self._clients.get(f"{own}?{_NETWORK_VERSION}"))
        if body is None:
            return [Finding(what, problem=f"There is no {own}.", fix=_name_another(region))]
        found = msgspec.json.decode(body, type=_Network)
        if found.location != region:
            problem = f"It is in {found.location}: VMs in {region} cannot be in it."
            return [Finding(what, problem=problem, fix=_name_another(region))]
        subnet = names.subnet_name(self._account, region)
        known = sorted(it.name for it in found.properties.subnets)
        if subnet not in known:
            problem = f"It has no subnet {subnet!r}, but {', '.join(known) or 'none'}."
            return [Finding(what, problem=problem, fix=f"--set subnet={region}=NAME")]
        return [Finding(what, found=f"there, with subnet {subnet}")]

    async def _named_identity(self) -> Sequence[Finding]:
        named = self._account.identity
        if named in ("", identity.NONE, identity.own(self._account)):
            return []
        what = f"identity {named.rpartition('/')[2]} of VMs"
        if await self._clients.found(lambda: identity.get(self._clients.groups, named)) is not None:
            return [Finding(what, found="there")]
        fix = "Name one that exists: shoal setup azure --set identity=ID (none: without)"
        return [Finding(what, problem=f"There is no {named}.", fix=fix)]

    async def _quotas(self, region: str, asked: Sequence[Part]) -> Sequence[Finding]:
        compute = await self._usages("Microsoft.Compute", region, "2024-07-01")
        addresses = await self._usages("Microsoft.Network", region, "2024-05-01")
        return quotas.findings([*compute, *addresses], region, asked, self._account)

    async def _usages(self, provider: str, region: str, version: str) -> Sequence[quotas.Usage]:
        path = f"{self._root}/providers/{provider}/locations/{region}/usages?api-version={version}"
        told: quotas.Usages = await self._get(path, quotas.Usages)
        return told.value

    async def _image(self, region: str) -> Finding:
        if self._account.image:
            return Finding(f"image {self._account.image}", found="named in the account")
        images, ubuntu = self._clients.compute.virtual_machine_images, UBUNTU["x86_64"]
        found = await self._clients.call(
            lambda: list(images.list(region, ubuntu.publisher, ubuntu.offer, ubuntu.sku))
        )
        if found:
            return Finding(f"image {ubuntu.offer}", found=f"{len(found)} versions in {region}")
        return Finding(
            f"image {ubuntu.offer}",
            problem=f"Canonical's Ubuntu is not offered in {region}.",
            fix="Name an image of your own in the account.",
        )

    @property
    def _root(self) -> str:
        return f"/subscriptions/{self._account.subscription}"

    async def _get(self, path: str, shape: type[Any]) -> Any:
        body = await self._clients.call(lambda: self._clients.get(path))
        return msgspec.json.decode(body, type=shape, strict=False)


class _Prepared(msgspec.Struct, frozen=True):
    """One thing that `prepare` makes. The functions block."""

    what: str
    command: str
    get: Callable[[], Any]
    put: Callable[[], Any]


def _name_another(region: str) -> str:
    return f"Name one of this region: shoal setup azure --set network={region}=ID,OTHER=ID"


def _deletion(client: Any, group: str, name: str) -> Callable[[], Any]:
    return lambda: client.begin_delete(group, name)


def _removed(kind: str, thing: _Thing, account: AzureAccount) -> Step:
    if kind == "identity":
        command = f"az identity delete -g {account.resource_group} -n {thing.name}"
        return Step(f"identity {thing.name}", command, done=True)
    what = {"nsg": "security group", "vnet": "virtual network"}[kind]
    command = f"az network {kind} delete -g {account.resource_group} -n {thing.name}"
    return Step(f"{what} {thing.name}", command, done=True)


def _grants_path(scope: str) -> str:
    return f"{scope}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"


def _allowed(name: str, why: str, grants: permissions.Grants) -> Finding:
    if grants.allow(name):
        return Finding(f"permission {name}", found="granted")
    return Finding(
        f"permission {name}",
        problem=f"It is not granted, and is needed to: {why}.",
        fix="az role definition create --role-definition @role.json "
        "(`shoal setup azure --print` prints it)",
    )

"""The inside of the double: a subscription's resources, the rules between them, and its ledger.

Knows nothing of HTTP. A refusal is a `Denied`, with the code that Azure uses.
"""

from __future__ import annotations

import base64
import copy
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from tests.doubles.azure import shapes
from tests.doubles.azure.knobs import SKUS, Knobs, Sku
from tests.doubles.machines import Machine, Machines

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
VM, NIC = "microsoft.compute/virtualmachines", "microsoft.network/networkinterfaces"
ADDRESS, DISK = "microsoft.network/publicipaddresses", "microsoft.compute/disks"
NETWORK = "microsoft.network/virtualnetworks"
SECURITY_GROUP = "microsoft.network/networksecuritygroups"

_SHAPES = {
    VM: "compute.VirtualMachine",
    DISK: "compute.Disk",
    NIC: "network.NetworkInterface",
    ADDRESS: "network.PublicIPAddress",
    NETWORK: "network.VirtualNetwork",
    SECURITY_GROUP: "network.NetworkSecurityGroup",
}

Body = dict[str, Any]


class Denied(Exception):
    def __init__(
        self, status: int, code: str, message: str = "", details: tuple[Body, ...] = ()
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.details = status, code, message, details

    @property
    def body(self) -> Body:
        error: Body = {"code": self.code, "message": self.message or f"({self.code})"}
        if self.details:
            error["details"] = list(self.details)
        return error


class Path(msgspec.Struct, frozen=True):
    """A resource's id, in small letters, but for its name."""

    group: str
    kind: str  # "microsoft.compute/virtualmachines"
    name: str

    @property
    def id(self) -> str:
        provider, _, kind = self.kind.partition("/")
        return (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{self.group.upper()}"
            f"/providers/{provider}/{kind}/{self.name}"
        )

    @property
    def key(self) -> str:
        return self.id.lower()


class Entry(msgspec.Struct):
    """Of the ledger: all that was ever billed."""

    path: Path
    began: float
    ended: float | None = None
    ended_by: str = ""


class Nobody:
    """Boots nothing."""

    def start(self, machine: Machine) -> None: ...

    def stop(self, id: str) -> None: ...


class Arm:
    def __init__(
        self,
        knobs: Knobs | None = None,
        *,
        skus: tuple[Sku, ...] = SKUS,
        clock: Callable[[], float] = time.time,
        machines: Machines | None = None,
    ) -> None:
        self.knobs = knobs or Knobs()
        self.skus = {it.name: it for it in skus}
        self.clock = clock
        self.machines: Machines = machines or Nobody()
        self.groups: dict[str, Body] = {}
        self.resources: dict[str, Body] = {}
        self.ledger: list[Entry] = []
        self.faults: list[str] = []  # malformed answers: the double's own bugs
        self._born: dict[str, float] = {}
        self._ended: list[tuple[float, Body]] = []
        self._user_data: dict[str, str] = {}
        self._hosts = 0

    # what is there

    def left(self) -> list[str]:
        """Of VMs, interfaces, addresses and disks."""
        return [it.path.id for it in self.ledger if it.ended is None]

    def get(self, path: Path) -> Body:
        found = self.resources.get(path.key)
        if found is None:
            raise Denied(404, "ResourceNotFound", f"{path.id} was not found.")
        return self._shown(path, found)

    def of_kind(self, kind: str, group: str = "") -> list[Body]:
        """As long ago as the lag says; with what has ended since. As they are kept."""
        then = self.clock() - self.knobs.lag_s
        born = [it for key, it in self.resources.items() if self._born[key] <= then]
        seen = [*born, *(it for at, it in self._ended if at > then)]
        return [
            it
            for it in seen
            if it["type"] == kind and (not group or path_of(it["id"]).group == group.lower())
        ]

    def shown(self, body: Body) -> Body:
        """As it is told: held against the vendor's types, without what is not told."""
        return self._shown(path_of(body["id"]), body)

    def _shown(self, path: Path, body: Body) -> Body:
        shown = copy.deepcopy(body)
        if path.kind == VM:
            shown["properties"].pop("instanceView", None)
            shown["properties"].get("osProfile", {}).pop("customData", None)
        if kind := _SHAPES.get(path.kind):
            self.faults += [f"{path.id} {it}" for it in shapes.faults(kind, shown)]
        return shown

    # what is made

    def put(self, path: Path, body: Body) -> Body:
        """Made, or changed."""
        self._need_group(path)
        if kind := _SHAPES.get(path.kind):
            wrong = shapes.faults(kind, body)
            if wrong:
                raise Denied(400, "InvalidRequestContent", "; ".join(wrong))
        if path.kind == VM:
            return self._put_vm(path, body)
        if path.kind == NETWORK:
            for subnet in body.get("properties", {}).get("subnets", []):
                subnet["id"] = f"{path.id}/subnets/{subnet['name']}"
        return self._keep(path, body)

    def _keep(self, path: Path, body: Body) -> Body:
        if path.key not in self.resources:
            self._born[path.key] = self.clock()
            if path.kind in (VM, NIC, ADDRESS, DISK):
                self.ledger.append(Entry(path, self.clock()))
        kept = {**copy.deepcopy(body), "id": path.id, "name": path.name, "type": path.kind}
        kept.setdefault("properties", {})["provisioningState"] = "Succeeded"
        self.resources[path.key] = kept
        return kept

    def _need_group(self, path: Path) -> None:
        if path.group not in self.groups:
            raise Denied(404, "ResourceGroupNotFound", f"Resource group {path.group!r} not found.")

    # VMs

    def check_vm(self, body: Body, more: int = 0) -> None:
        """What Azure knows at its front door: sizes, zones, limits; `more` of the same template
        came before."""
        size, zone, _spot = place_of(body)
        sku = self.skus.get(size)
        if sku is None:
            raise Denied(400, "InvalidParameter", f"{size} is no size of a VM.")
        if zone and zone not in sku.zones:
            raise Denied(409, "SkuNotAvailable", f"{size} is not to be had in zone {zone}.")
        for it in self.knobs.refusals:
            if it.early and it.matches(size, zone):
                raise Denied(409, it.code, it.message)
        limit = self.knobs.cores.get(sku.family)
        if limit is not None and self.cores(sku.family) + (more + 1) * sku.vcpu > limit:
            raise Denied(
                409,
                "QuotaExceeded",
                f"Operation could not be completed as it results in exceeding approved {sku.family}"
                f" Cores quota. Location: {body['location']}, Current Limit: {limit}.",
            )

    def cores(self, family: str) -> int:
        vms = [it for it in self.resources.values() if it["type"] == VM]
        skus = [self.skus[place_of(it)[0]] for it in vms]
        return sum(it.vcpu for it in skus if it.family == family)

    def _put_vm(self, path: Path, body: Body) -> Body:
        """With its disk, interface and address; where there is no room, its name stays."""
        if path.key in self.resources:
            return self.resources[path.key]
        self._need_parts(body)
        vm = self._keep(path, body)
        properties = vm["properties"]
        self._user_data[path.key] = properties.get("osProfile", {}).pop("customData", "")
        properties["timeCreated"] = _iso(self.clock())
        refused = self._no_room(path, body)
        if refused:
            properties["provisioningState"] = "Failed"
            raise refused
        disk, nic = self._disk(path, vm), self._interface(path, vm)
        properties["storageProfile"]["osDisk"]["managedDisk"]["id"] = disk["id"]
        networks = properties["networkProfile"]
        networks["networkInterfaces"] = [{"id": nic["id"]}]
        self._power(vm, "running")
        self.machines.start(self._machine(path, vm, nic))
        return vm

    def _need_parts(self, body: Body) -> None:
        """Of what it refers to."""
        profile = body["properties"]["networkProfile"]["networkInterfaceConfigurations"][0]
        for place in profile["properties"]["ipConfigurations"]:
            network, _, subnet = place["properties"]["subnet"]["id"].lower().partition("/subnets/")
            found = self.resources.get(network)
            names = [
                it["name"].lower() for it in (found or {}).get("properties", {}).get("subnets", [])
            ]
            if subnet not in names:
                raise Denied(400, "InvalidResourceReference", f"{network} has no {subnet!r}.")
        group = profile["properties"]["networkSecurityGroup"]["id"].lower()
        if group not in self.resources:
            raise Denied(400, "InvalidResourceReference", f"{group} was not found.")

    def _no_room(self, path: Path, body: Body) -> Denied | None:
        size, zone, _ = place_of(body)
        for it in self.knobs.refusals:
            if not it.early and it.matches(size, zone):
                return Denied(409, it.code, it.message)
        room = self.knobs.room.get(size)
        same = [
            it
            for it in self.resources.values()
            if it["type"] == VM
            and place_of(it)[0] == size
            and it["properties"]["provisioningState"] != "Failed"
        ]
        if room is not None and len(same) > room:
            code = "ZonalAllocationFailed" if zone else "AllocationFailed"
            return Denied(409, code, "Allocation failed. We do not have sufficient capacity.")
        return None

    def _disk(self, vm: Path, body: Body) -> Body:
        disk = body["properties"]["storageProfile"]["osDisk"]
        path = Path(vm.group, DISK, disk["name"])
        made: Body = {
            "location": body["location"],
            "tags": body.get("tags", {}),
            "properties": {
                "creationData": {"createOption": "FromImage"},
                "diskSizeGB": disk.get("diskSizeGB", 30),
                "timeCreated": _iso(self.clock()),
            },
            "managedBy": vm.id,
        }
        return self._keep(path, made)

    def _interface(self, vm: Path, body: Body) -> Body:
        asked = body["properties"]["networkProfile"]["networkInterfaceConfigurations"][0]
        place = asked["properties"]["ipConfigurations"][0]
        path = Path(vm.group, NIC, asked["name"])
        self._hosts += 1
        ip: Body = {
            "privateIPAddress": f"10.80.{self._hosts // 250}.{4 + self._hosts % 250}",
            "subnet": place["properties"]["subnet"],
        }
        if public := place["properties"].get("publicIPAddressConfiguration"):
            ip["publicIPAddress"] = {"id": self._address(vm, body, public, path)["id"]}
        made: Body = {
            "location": body["location"],
            "tags": asked.get("tags", {}),
            "properties": {
                "virtualMachine": {"id": vm.id},
                "macAddress": f"00-22-48-00-{self._hosts // 256:02X}-{self._hosts % 256:02X}",
                "networkSecurityGroup": asked["properties"]["networkSecurityGroup"],
                "ipConfigurations": [{"name": place["name"], "properties": ip}],
            },
        }
        return self._keep(path, made)

    def _address(self, vm: Path, body: Body, asked: Body, nic: Path) -> Body:
        made: Body = {
            "location": body["location"],
            "tags": asked.get("tags", {}),
            "sku": asked["sku"],
            "properties": {
                "ipAddress": f"203.0.{113 + self._hosts // 250}.{self._hosts % 250}",
                "ipConfiguration": {"id": f"{nic.id}/ipConfigurations/main"},
            },
        }
        return self._keep(Path(vm.group, ADDRESS, asked["name"]), made)

    def _power(self, vm: Body, state: str) -> None:
        statuses = [{"code": "ProvisioningState/succeeded"}, {"code": f"PowerState/{state}"}]
        vm["properties"]["instanceView"] = {"statuses": statuses}

    def _machine(self, path: Path, vm: Body, nic: Body) -> Machine:
        size, zone, spot = place_of(vm)
        mac = nic["properties"]["macAddress"].replace("-", ":").lower()
        return Machine(
            cloud="azure",
            id=path.key,
            name=path.name,
            zone=f"{vm['location']}-{zone}" if zone else vm["location"],
            machine_type=size,
            arch="aarch64" if self.skus[size].arch == "Arm64" else "x86_64",
            user_data=base64.b64decode(self._user_data[path.key]),
            address=nic["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"],
            mac=mac,
            spot=spot,
            tags=dict(vm.get("tags", {})),
        )

    def user_data(self, name: str) -> bytes:
        """Of the one VM of that name, as it was given."""
        key = next(it for it in self._user_data if it.endswith(f"/{name.lower()}"))
        return base64.b64decode(self._user_data[key])

    # what ends

    def delete(self, path: Path, by: str = "asked") -> bool:
        """False: it is not there. A VM takes along what is to be deleted with it."""
        gone = self.resources.get(path.key)
        if gone is None:
            return False
        self._need_unused(path)
        del self.resources[path.key]
        self._ended.append((self.clock(), gone))
        for entry in self.ledger:
            if entry.path.key == path.key and entry.ended is None:
                entry.ended, entry.ended_by = self.clock(), by
        if path.kind == VM:
            self.machines.stop(path.key)
            for part in _parts(gone):
                self._detach(part)
                self.delete(part, by=f"with {path.name}")
        return True

    def _need_unused(self, path: Path) -> None:
        if path.kind not in (SECURITY_GROUP, NETWORK):
            return
        users = [
            it["id"]
            for it in self.resources.values()
            if it["type"] in (NIC, NETWORK) and it["id"].lower() != path.key and _names(it, path)
        ]
        if users:
            raise Denied(400, "InUseCannotBeDeleted", f"{path.id} is in use by {users[0]}.")

    def _detach(self, path: Path) -> None:
        body = self.resources.get(path.key, {"properties": {}})
        body.pop("managedBy", None)
        body["properties"].pop("virtualMachine", None)
        body["properties"].pop("ipConfiguration", None)

    def evict(self, name: str) -> None:
        """A spot VM is wanted by somebody who pays more."""
        path = self._vm(name)
        assert place_of(self.resources[path.key])[2], f"{name} is no spot VM"
        self.delete(path, by="evicted")

    def power_off(self, name: str) -> None:
        """From within: it is stopped, and everything is billed still."""
        path = self._vm(name)
        self._power(self.resources[path.key], "stopped")
        self.machines.stop(path.key)

    def leave_behind(self, name: str) -> None:
        """The VM goes, and its disk, interface and address stay: delete options were lost."""
        path = self._vm(name)
        for part in _parts(self.resources[path.key]):
            self._detach(part)
        body = self.resources[path.key]
        body["properties"]["networkProfile"] = {}
        body["properties"]["storageProfile"] = {}
        self.delete(path, by="alone")

    def _vm(self, name: str) -> Path:
        vms = [it for it in self.resources.values() if it["type"] == VM and it["name"] == name]
        return path_of(vms[0]["id"])


def place_of(vm: Body) -> tuple[str, str, bool]:
    """Size, zone (empty: Azure's choice), spot."""
    properties = vm["properties"]
    zone = (vm.get("zones") or [""])[0]
    return properties["hardwareProfile"]["vmSize"], zone, properties.get("priority") == "Spot"


def path_of(id: str) -> Path:
    """Of a top-level resource."""
    parts = id.strip("/").split("/")
    return Path(parts[3].lower(), f"{parts[5]}/{parts[6]}".lower(), parts[7])


def _parts(vm: Body) -> Iterator[Path]:
    """Disk, interface and address that are to go with it."""
    group = path_of(vm["id"]).group
    disk = vm["properties"].get("storageProfile", {}).get("osDisk", {})
    if disk.get("deleteOption") == "Delete":
        yield Path(group, DISK, disk["name"])
    networks = vm["properties"].get("networkProfile", {})
    for nic in networks.get("networkInterfaceConfigurations", []):
        if nic["properties"].get("deleteOption") == "Delete":
            yield Path(group, NIC, nic["name"])
        for place in nic["properties"]["ipConfigurations"]:
            public = place["properties"].get("publicIPAddressConfiguration")
            if public and public["properties"].get("deleteOption") == "Delete":
                yield Path(group, ADDRESS, public["name"])


def _names(body: Body, path: Path) -> bool:
    return f'"{path.key}' in msgspec.json.encode(body).decode().lower()


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")

"""What there is in one project, and what the calls do to it. The ledger is the state itself."""

from __future__ import annotations

import ipaddress
import itertools
import re
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tests.doubles.machines import Machine, Machines

Body = dict[str, Any]


class Problem(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


_IN_USE = ("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "The resource is in use by another operation.")
_TOO_MANY_RULES = ("QUOTA_EXCEEDED", "Quota 'FIREWALLS' exceeded. Limit: 100.0 globally.")


class Knobs(msgspec.Struct):
    """`room`: how many VMs of a (zone, type) find room; others are not limited."""

    room: dict[tuple[str, str], int] = {}
    quota: dict[str, int] = {}  # VMs by region
    quotas: dict[str, tuple[float, float]] = {}  # of each region: in use and limit, by metric
    project_quotas: dict[str, tuple[float, float]] = {}
    fails: list[
        tuple[str, str]
    ] = []  # code and words; of the next VMs that are asked for, in turn; no code: none
    spot_fails: tuple[str, str] | None = None  # as all spot VMs do
    together: threading.Barrier | None = None  # creations that must be asked for at one time
    slow_polls: int = 0  # how often an operation is still running when it is asked about
    throttled: int = 0  # so many calls are
    failing_ends: int = 0  # so many ends of VMs are begun, and come to nothing
    failing_rules: int = 0  # and so many new rules of the network
    lost_answers: int = 0  # so many creations are done, and their answers lost
    unlisted_zones: frozenset[str] = frozenset()  # a listing cannot reach them
    forbidden: frozenset[str] = frozenset()  # method ids
    not_granted: frozenset[str] = frozenset()  # permissions of the caller
    obtainability: dict[str, float] = {}  # of spot VMs, by zone
    machine_types: dict[str, list[Body]] = {}  # by zone
    skus: list[Body] = []  # of Cloud Billing
    page: int = 500  # items of a page, where the caller does not say


class Compute:
    def __init__(
        self, knobs: Knobs | None = None, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.knobs = knobs or Knobs()
        self.machines: Machines | None = None
        self.instances: dict[str, Body] = {}  # by "zone/name"
        self.disks: dict[str, Body] = {}
        self.firewalls: dict[str, Body] = {}
        self.networks: dict[str, Body] = {}
        self.subnetworks: dict[str, Body] = {}
        self.service_accounts: dict[str, Body] = {}  # by e-mail
        self.calls: list[str] = []
        self._clock = clock or (lambda: datetime.now(UTC))
        self._operations: dict[str, Body] = {}
        self._requests: dict[str, str] = {}  # request id -> operation
        self._numbers = itertools.count(1)
        self._polls: dict[str, int] = {}
        self._lock = threading.RLock()

    def left(self) -> list[str]:
        """What is billed, or in the way."""
        places = [*self.networks, *self.subnetworks]
        return [*self.instances, *self.disks, *self.firewalls, *places, *self.service_accounts]

    def answer(
        self, method: str, path: Mapping[str, str], query: Mapping[str, str], body: Body
    ) -> Body:
        with self._lock:
            self.calls.append(method)
            if method in self.knobs.forbidden:
                raise Problem(403, "forbidden", f"Required permission for {method} is missing")
            if self.knobs.throttled > 0:
                self.knobs.throttled -= 1
                raise Problem(403, "rateLimitExceeded", "Queries per minute exceeded")
            if done := self._requests.get(query.get("requestId", "")):
                return self._shown(done)
            act = getattr(self, f"_{method.replace('.', '_')}", None)
            if act is None:
                raise Problem(501, "notImplemented", f"the double does not know {method}")
            answered: Body = act(path, query, body)
            if "requestId" in query:
                self._requests[query["requestId"]] = answered["name"]
            return answered

    def preempt(self, key: str) -> None:
        """As Compute Engine does with DELETE as the action."""
        with self._lock:
            self._remove(key)

    def power_off(self, id: str) -> None:
        """By itself, from inside: it is still there, and so is its disk."""
        for it in list(self.instances.values()):
            if it["id"] == id:
                it["status"] = "TERMINATED"

    # -- instances ------------------------------------------------------------------------------

    def _regionInstances_bulkInsert(self, path: Any, query: Any, body: Body) -> Body:  # noqa: N802
        region, count = path["region"], int(body["count"])
        taken = {key.split("/")[1] for key in self.instances}
        wanted = [it["name"] for it in body["perInstanceProperties"].values()]
        if clash := taken & set(wanted):
            raise Problem(409, "alreadyExists", f"{sorted(clash)} already exist")
        for it in body["instanceFlexibilityPolicy"]["instanceSelections"].values():
            for type_ in it["machineTypes"]:
                _check_disk(type_, _properties(body, type_))
                _check_accelerators(type_, body)
        created: dict[str, int] = {}
        errors: list[tuple[str, str]] = []
        for name in wanted[:count]:
            place = self._room(body)
            if error := self._failure(region, place, body["instanceProperties"]):
                errors.append(error)
            elif place is not None:
                self._create(name, *place, _properties(body, place[1]))
                created[place[0]] = created.get(place[0], 0) + 1
        return self._operation("bulkInsert", region=region, created=created, errors=errors)

    def _failure(
        self, region: str, place: tuple[str, str] | None, properties: Body
    ) -> tuple[str, str] | None:
        if self.knobs.fails and (told := self.knobs.fails.pop(0))[0]:
            return told
        if self.knobs.spot_fails and properties["scheduling"]["provisioningModel"] == "SPOT":
            return self.knobs.spot_fails
        limit = self.knobs.quota.get(region)
        if limit is not None and len(self._in_region(region)) >= limit:
            return "QUOTA_EXCEEDED", f"Quota 'CPUS' exceeded. Limit: 24.0 in region {region}."
        if place is None:
            return _EMPTY
        return None

    def _room(self, body: Body) -> tuple[str, str] | None:
        selections = body["instanceFlexibilityPolicy"]["instanceSelections"].values()
        ranked = sorted(selections, key=lambda it: int(it.get("rank", 0)))
        # The list, since the map of locations arrives in any order.
        zones = [it["zone"].removeprefix("zones/") for it in body["locationPolicy"]["zones"]]
        for selection, zone in itertools.product(ranked, zones):
            for type_ in selection["machineTypes"]:
                used = sum(
                    it["zone"].endswith(zone) and it["machineType"].endswith(f"/{type_}")
                    for it in self.instances.values()
                )
                if used < self.knobs.room.get((zone, type_), 1_000_000):
                    return zone, type_
        return None

    def _create(self, name: str, zone: str, type_: str, properties: Body) -> None:
        number = next(self._numbers)
        address = f"10.142.{number // 250}.{number % 250 + 2}"
        interface = dict(properties["networkInterfaces"][0], networkIP=address)
        if configs := interface.get("accessConfigs"):
            interface["accessConfigs"] = [dict(configs[0], natIP=f"203.0.113.{number % 250 + 1}")]
        key = f"{zone}/{name}"
        self.instances[key] = {
            "kind": "compute#instance",
            "id": str(4 * 10**18 + number),
            "name": name,
            "zone": f"https://www.googleapis.com/compute/v1/projects/p/zones/{zone}",
            "machineType": f"https://www.googleapis.com/compute/v1/projects/p/zones/{zone}/machineTypes/{type_}",
            "status": "RUNNING",
            "creationTimestamp": self._clock().isoformat(timespec="milliseconds"),
            "labels": properties.get("labels", {}),
            "tags": properties.get("tags", {}),
            "scheduling": properties.get("scheduling", {}),
            "networkInterfaces": [interface],
            "metadata": properties.get("metadata", {}),
            "serviceAccounts": properties.get("serviceAccounts", []),
        }
        if gpus := properties.get("guestAccelerators"):
            place = (
                f"https://www.googleapis.com/compute/v1/projects/p/zones/{zone}/acceleratorTypes"
            )
            self.instances[key]["guestAccelerators"] = [
                {**it, "acceleratorType": f"{place}/{it['acceleratorType']}"} for it in gpus
            ]
        parameters = properties["disks"][0]["initializeParams"]
        self.disks[key] = {
            "name": name,
            "zone": self.instances[key]["zone"],
            "labels": parameters.get("labels", {}),
            "sizeGb": parameters.get("diskSizeGb", "10"),
            "sourceImage": parameters["sourceImage"],
            "creationTimestamp": self.instances[key]["creationTimestamp"],
            "users": [f"projects/p/zones/{zone}/instances/{name}"],
        }
        if self.machines is not None:
            self.machines.start(_machine(self.instances[key], address, number))

    def _instances_delete(self, path: Any, query: Any, body: Any) -> Body:
        key = f"{path['zone']}/{path['instance']}"
        if key not in self.instances:
            raise Problem(404, "notFound", f"The resource {key!r} was not found")
        if self.knobs.failing_ends > 0:
            self.knobs.failing_ends -= 1
            return self._operation("delete", zone=path["zone"], errors=[_IN_USE])
        self._remove(key)
        return self._operation("delete", zone=path["zone"])

    def _remove(self, key: str) -> None:
        gone = self.instances.pop(key)
        self.disks.pop(key, None)
        if self.machines is not None:
            self.machines.stop(gone["id"])

    def _instances_aggregatedList(self, path: Any, query: Any, body: Any) -> Body:  # noqa: N802
        return self._listed("compute#instanceAggregatedList", "instances", self.instances, query)

    def _disks_aggregatedList(self, path: Any, query: Any, body: Any) -> Body:  # noqa: N802
        return self._listed("compute#diskAggregatedList", "disks", self.disks, query)

    def _disks_delete(self, path: Any, query: Any, body: Any) -> Body:
        key = f"{path['zone']}/{path['disk']}"
        if self.disks.pop(key, None) is None:
            raise Problem(404, "notFound", f"The resource {key!r} was not found")
        return self._operation("delete", zone=path["zone"])

    def _listed(self, kind: str, field: str, things: Mapping[str, Body], query: Any) -> Body:
        """By zone, page by page: a filter by labels, as we send it."""
        asked = query.get("filter", "")
        wanted = [it.split("=") for it in asked.split(" AND ") if "=" in it]
        found = [
            (key, it)
            for key, it in sorted(things.items())
            if all(
                it["labels"].get(name.removeprefix("labels.")) == value for name, value in wanted
            )
        ]
        begin, most = int(query.get("pageToken", "0")), int(query.get("maxResults", "500"))
        items: dict[str, Body] = {}
        for key, it in found[begin : begin + most]:
            items.setdefault(f"zones/{key.split('/')[0]}", {}).setdefault(field, []).append(it)
        more = {"nextPageToken": str(begin + most)} if begin + most < len(found) else {}
        for zone in self.knobs.unlisted_zones:
            items[f"zones/{zone}"] = {"warning": {"code": "UNREACHABLE", "message": "not now"}}
        if not items:
            items["zones/us-east1-b"] = {"warning": {"code": "NO_RESULTS_ON_PAGE"}}
        return _masked({"kind": kind, "items": items, **more}, query.get("fields", ""))

    # -- the network ------------------------------------------------------------------------------

    def _firewalls_get(self, path: Any, query: Any, body: Any) -> Body:
        return _got(self.firewalls, path["firewall"])

    def _firewalls_insert(self, path: Any, query: Any, body: Body) -> Body:
        if self.knobs.failing_rules > 0:
            self.knobs.failing_rules -= 1
            return self._operation("insert", errors=[_TOO_MANY_RULES])
        self.firewalls[body["name"]] = {"kind": "compute#firewall", **body}
        return self._operation("insert")

    def _firewalls_list(self, path: Any, query: Any, body: Any) -> Body:
        return {"kind": "compute#firewallList", "items": list(self.firewalls.values())}

    def _firewalls_delete(self, path: Any, query: Any, body: Any) -> Body:
        _got(self.firewalls, path["firewall"])
        del self.firewalls[path["firewall"]]
        return self._operation("delete")

    def _networks_get(self, path: Any, query: Any, body: Any) -> Body:
        return _got(self.networks, path["network"])

    def _networks_insert(self, path: Any, query: Any, body: Body) -> Body:
        self.networks[body["name"]] = {"kind": "compute#network", **body}
        return self._operation("insert")

    def _networks_delete(self, path: Any, query: Any, body: Any) -> Body:
        _got(self.networks, path["network"])
        users = [*self.subnetworks.values(), *self.firewalls.values()]
        if any(it.get("network", "").rsplit("/", 1)[-1] == path["network"] for it in users):
            raise Problem(400, "resourceInUseByAnotherResource", "The network is in use")
        del self.networks[path["network"]]
        return self._operation("delete")

    def _subnetworks_get(self, path: Any, query: Any, body: Any) -> Body:
        return _got(self.subnetworks, f"{path['region']}/{path['subnetwork']}")

    def _subnetworks_insert(self, path: Any, query: Any, body: Body) -> Body:
        network = body["network"].rsplit("/", 1)[-1]
        if network not in self.networks:
            raise Problem(404, "notFound", "The network was not found")
        wanted = ipaddress.ip_network(body["ipCidrRange"])
        for it in self.subnetworks.values():
            same = it.get("network", "").rsplit("/", 1)[-1] == network
            if same and wanted.overlaps(ipaddress.ip_network(it["ipCidrRange"])):
                words = f"Invalid IPCidrRange: {wanted} conflicts with existing subnetwork"
                raise Problem(400, "invalid", f"{words} {it['name']!r}")
        self.subnetworks[f"{path['region']}/{body['name']}"] = {
            "kind": "compute#subnetwork",
            **body,
        }
        return self._operation("insert", region=path["region"])

    def _subnetworks_delete(self, path: Any, query: Any, body: Any) -> Body:
        key = f"{path['region']}/{path['subnetwork']}"
        _got(self.subnetworks, key)
        del self.subnetworks[key]
        return self._operation("delete", region=path["region"])

    def _subnetworks_aggregatedList(self, path: Any, query: Any, body: Any) -> Body:  # noqa: N802
        items: dict[str, Body] = {}
        for key, it in self.subnetworks.items():
            region = f"regions/{key.split('/')[0]}"
            items.setdefault(region, {"subnetworks": []})["subnetworks"].append(it)
        return {"kind": "compute#subnetworkAggregatedList", "items": items}

    def _regions_get(self, path: Any, query: Any, body: Any) -> Body:
        if path["region"] not in REGIONS:
            raise Problem(404, "notFound", "The region was not found")
        limit = float(self.knobs.quota.get(path["region"], 72))
        used = float(len(self._in_region(path["region"])))
        quotas = [{"metric": "CPUS", "limit": limit, "usage": used}, *_quotas(self.knobs.quotas)]
        return {"kind": "compute#region", "name": path["region"], "quotas": quotas}

    def _projects_get(self, path: Any, query: Any, body: Any) -> Body:
        quotas = _quotas(self.knobs.project_quotas)
        return {"kind": "compute#project", "name": path["project"], "quotas": quotas}

    # -- other APIs -------------------------------------------------------------------------------

    def _projects_testIamPermissions(self, path: Any, query: Any, body: Body) -> Body:  # noqa: N802
        lacks = self.knobs.not_granted
        return {"permissions": [it for it in body["permissions"] if it not in lacks]}

    def _serviceAccounts_get(self, path: Any, query: Any, body: Any) -> Body:  # noqa: N802
        return _got(self.service_accounts, urllib.parse.unquote(path["serviceAccountsId"]))

    def _serviceAccounts_create(self, path: Any, query: Any, body: Body) -> Body:  # noqa: N802
        project = path["projectsId"]
        email = f"{body['accountId']}@{project}.iam.gserviceaccount.com"
        if not re.fullmatch(r"[a-z][-a-z0-9]{4,28}[a-z0-9]", body["accountId"]):
            raise Problem(400, "badRequest", "The account ID is invalid")
        if email in self.service_accounts:
            raise Problem(409, "alreadyExists", f"{email} already exists")
        name = f"projects/{project}/serviceAccounts/{email}"
        made = {"name": name, "projectId": project, "email": email, **body["serviceAccount"]}
        self.service_accounts[email] = made
        return made

    def _serviceAccounts_delete(self, path: Any, query: Any, body: Any) -> Body:  # noqa: N802
        email = urllib.parse.unquote(path["serviceAccountsId"])
        _got(self.service_accounts, email)
        del self.service_accounts[email]
        return {}

    def _machineTypes_aggregatedList(self, path: Any, query: Any, body: Any) -> Body:  # noqa: N802
        found = [(zone, it) for zone, held in self.knobs.machine_types.items() for it in held]
        return self._by_zone("compute#machineTypeAggregatedList", "machineTypes", found, query)

    def _acceleratorTypes_aggregatedList(self, path: Any, query: Any, body: Any) -> Body:  # noqa: N802
        found = [
            (zone, {"name": name, "maximumCardsPerInstance": max(_CARDS[name])})
            for zone, names in ACCELERATORS.items()
            for name in names
        ]
        return self._by_zone(
            "compute#acceleratorTypeAggregatedList", "acceleratorTypes", found, query
        )

    def _by_zone(
        self, kind: str, field: str, found: Sequence[tuple[str, Body]], query: Any
    ) -> Body:
        """Page by page."""
        shown, more = self._page(found, query)
        items: dict[str, Body] = {}
        for zone, it in shown:
            items.setdefault(f"zones/{zone}", {field: []})[field].append(it)
        return {"kind": kind, "items": items, **more}

    def _skus_list(self, path: Any, query: Any, body: Any) -> Body:
        shown, more = self._page(self.knobs.skus, query)
        return {"skus": shown, **more}

    def _page(self, found: Sequence[Any], query: Any) -> tuple[list[Any], Body]:
        begin, most = int(query.get("pageToken", "0")), self.knobs.page
        more = {"nextPageToken": str(begin + most)} if begin + most < len(found) else {}
        return list(found[begin : begin + most]), more

    def _services_list(self, path: Any, query: Any, body: Any) -> Body:
        return {"services": [{"name": "services/6F81-5844-456A", "displayName": "Compute Engine"}]}

    # -- advice -----------------------------------------------------------------------------------

    def _advice_capacity(self, path: Any, query: Any, body: Body) -> Body:
        """One recommendation: the best of the zones asked for, all VMs of the first type."""
        said, policy = self.knobs.obtainability, body["distributionPolicy"]
        model = body["instanceProperties"]["scheduling"]["provisioningModel"]
        if model != "SPOT" or policy["targetShape"] != "ANY_SINGLE_ZONE":
            raise Problem(400, "invalid", "the double advises on spot VMs of one zone only")
        zones = [it["zone"].rpartition("/")[2] for it in policy["zones"]]
        best = max((it for it in zones if it in said), key=lambda it: said[it], default=None)
        if best is None:
            return {"recommendations": []}
        selection = next(iter(body["instanceFlexibilityPolicy"]["instanceSelections"].values()))
        shard = {
            "zone": f"projects/{path['project']}/zones/{best}",
            "machineType": selection["machineTypes"][0],
            "instanceCount": body["size"],
            "provisioningModel": model,
        }
        scores = {"obtainability": said[best], "estimatedUptime": "3600s"}
        return {"recommendations": [{"scores": scores, "shards": [shard]}]}

    # -- operations -------------------------------------------------------------------------------

    def _regionOperations_wait(self, path: Any, query: Any, body: Any) -> Body:  # noqa: N802
        return self._shown(path["operation"])

    def _globalOperations_wait(self, path: Any, query: Any, body: Any) -> Body:  # noqa: N802
        return self._shown(path["operation"])

    def _operation(
        self,
        kind: str,
        *,
        region: str = "",
        zone: str = "",
        created: dict[str, int] | None = None,
        errors: Sequence[tuple[str, str]] = (),
    ) -> Body:
        name = f"operation-{next(self._numbers)}"
        made: Body = {
            "kind": "compute#operation",
            "name": name,
            "operationType": kind,
            "status": "DONE",
        }
        made |= {"region": region} if region else {}
        made |= {"zone": zone} if zone else {}
        if created is not None:
            made["instancesBulkInsertOperationMetadata"] = {
                "perLocationStatus": {
                    f"zones/{it}": {"status": "DONE", "createdVmCount": n, "targetVmCount": n}
                    for it, n in created.items()
                }
            }
        if errors:
            made["error"] = {"errors": [{"code": code, "message": it} for code, it in errors]}
        self._operations[name] = made
        self._polls[name] = self.knobs.slow_polls
        return self._shown(name)

    def _shown(self, name: str) -> Body:
        if self._polls[name] <= 0:
            return self._operations[name]
        self._polls[name] -= 1
        told = self._operations[name]
        hidden = ("error", "instancesBulkInsertOperationMetadata")
        return {key: it for key, it in told.items() if key not in hidden} | {"status": "RUNNING"}

    def _in_region(self, region: str) -> list[str]:
        return [key for key in self.instances if key.startswith(f"{region}-")]

    def forget_requests(self) -> None:
        """As Compute Engine does after an hour or more."""
        self._requests.clear()


# What boots a VM of a series, where it is not Persistent Disk alone.
_DISKS = {
    **dict.fromkeys(("c3", "c3d", "h3", "m3", "z3"), ("pd-", "hyperdisk-")),
    **dict.fromkeys(("n4", "n4a", "n4d", "c4", "c4a", "c4d", "h4d", "g4", "a4"), ("hyperdisk-",)),
}
# Where they are, and how many vCPUs a machine with so many of them may have.
ACCELERATORS = {
    "us-east1-b": ("nvidia-tesla-p100",),
    "us-east1-c": ("nvidia-tesla-t4", "nvidia-tesla-v100", "nvidia-l4"),
    "us-east1-d": ("nvidia-tesla-t4",),
}
_CARDS = {
    "nvidia-tesla-t4": {1: 48, 2: 48, 4: 96},
    "nvidia-tesla-v100": {1: 12, 2: 24, 4: 48, 8: 96},
    "nvidia-tesla-p100": {1: 16, 2: 32, 4: 64},
    "nvidia-l4": {8: 0},  # built into its machines
}
REGIONS = ("us-east1", "us-east4", "us-west1", "europe-west4")
_EMPTY = "ZONE_RESOURCE_POOL_EXHAUSTED", "The zone does not have enough resources available."


def _masked(value: Any, fields: str) -> Any:
    """As `fields` says it: "items/*/instances(name,zone),nextPageToken"; empty: all of it."""
    if not fields:
        return value
    if isinstance(value, list):
        return [_masked(it, fields) for it in value]
    chosen: dict[str, list[str]] = {}
    for it in _split(fields):
        name = re.match(r"[^/(]+", it)
        assert name is not None, it
        rest = it[name.end() :]
        inner = rest[1:-1] if rest.startswith("(") else rest[1:]
        for key in value if name[0] == "*" else [name[0]]:
            chosen.setdefault(key, []).append(inner)
    return {key: _masked(value[key], ",".join(it)) for key, it in chosen.items() if key in value}


def _split(fields: str) -> list[str]:
    """At commas outside of parentheses."""
    parts, depth = [""], 0
    for it in fields:
        depth += (it == "(") - (it == ")")
        if it == "," and not depth:
            parts.append("")
        else:
            parts[-1] += it
    return parts


def _properties(body: Body, type_: str) -> Body:
    """A selection's disks stand for those of all."""
    selections = body["instanceFlexibilityPolicy"]["instanceSelections"].values()
    own = next((it["disks"] for it in selections if type_ in it["machineTypes"]), None)
    return {**body["instanceProperties"], **({"disks": own} if own else {})}


def _check_disk(type_: str, properties: Body) -> None:
    kind = properties["disks"][0]["initializeParams"]["diskType"].rsplit("/", 1)[-1]
    if not kind.startswith(_DISKS.get(type_.partition("-")[0], ("pd-",))):
        raise Problem(400, "invalid", f"[{kind}] disk type cannot be used by {type_} machine type")


def _check_accelerators(type_: str, body: Body) -> None:
    """As many as a machine of that size may have, in each of the zones; it cannot be moved."""
    properties = body["instanceProperties"]
    for it in properties.get("guestAccelerators", []):
        kind, count = it["acceleratorType"], int(it["acceleratorCount"])
        if type_.partition("-")[0] != "n1":
            raise Problem(400, "invalid", f"{type_} does not support guest accelerators")
        most = _CARDS.get(kind, {}).get(count, 0)
        if int(type_.rpartition("-")[2]) > most:
            words = f"[{type_}, {kind}] features are not compatible for creating instance"
            raise Problem(400, "invalid", f"{words} with {count} cards")
        if properties["scheduling"]["onHostMaintenance"] != "TERMINATE":
            raise Problem(400, "invalid", "Instances with guest accelerators do not migrate")
        for place in body["locationPolicy"]["zones"]:
            if kind not in ACCELERATORS.get(place["zone"].removeprefix("zones/"), ()):
                words = f"The resource 'projects/p/{place['zone']}/acceleratorTypes/{kind}'"
                raise Problem(404, "notFound", f"{words} was not found")


def _quotas(told: Mapping[str, tuple[float, float]]) -> list[Body]:
    return [{"metric": it, "usage": usage, "limit": limit} for it, (usage, limit) in told.items()]


def _got(things: Mapping[str, Body], name: str) -> Body:
    if name not in things:
        raise Problem(404, "notFound", f"The resource {name!r} was not found")
    return things[name]


def _machine(it: Body, address: str, number: int) -> Machine:
    user_data = next(i["value"] for i in it["metadata"]["items"] if i["key"] == "user-data")
    type_ = it["machineType"].rsplit("/", 1)[-1]
    arm = type_.partition("-")[0] in ("t2a", "c4a", "n4a")
    return Machine(
        cloud="gcp",
        id=it["id"],
        name=it["name"],
        zone=it["zone"].rsplit("/", 1)[-1],
        machine_type=type_,
        arch="aarch64" if arm else "x86_64",
        user_data=user_data.encode(),
        address=address,
        mac=f"42:01:0a:8e:{number // 256:02x}:{number % 256:02x}",
        spot=it["scheduling"].get("provisioningModel") == "SPOT",
        tags=it["labels"],
    )

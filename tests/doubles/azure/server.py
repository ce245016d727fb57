"""The double's HTTPS: who is asked for what, pages, long-running operations, and things that go
wrong on the way.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path as FilePath
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import msgspec
import trustme
from azure.core.credentials import AccessToken, AccessTokenInfo

from shoal.clouds.azure.clients import Trust
from shoal.wire.accounts import AzureAccount
from tests.doubles.azure.arm import NETWORK, SUBSCRIPTION, VM, Arm, Body, Denied, Path
from tests.doubles.azure.deployments import Deployments
from tests.doubles.gate import Gate

TOKEN = "a-token-of-the-double"


class Login:
    """A credential that a person has, who is logged in already."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(TOKEN, int(time.time()) + 3600)

    def get_token_info(self, *scopes: str, **_: Any) -> AccessTokenInfo:
        return AccessTokenInfo(TOKEN, int(time.time()) + 3600)


class AzureDouble:
    """Serves until it is closed. `calls` are method and kind of resource, in order."""

    def __init__(self, arm: Arm, folder: FilePath) -> None:
        self.arm = arm
        self.gate = Gate()
        self.deployments = Deployments(arm)
        self.calls: list[str] = []
        self.operations: dict[str, int] = {}  # of Azure-AsyncOperation: over at that request
        self.lock = threading.RLock()
        authority = trustme.CA()
        self._ca = folder / "azure-ca.pem"
        authority.cert_pem.write_to_path(str(self._ca))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        double = self

        class Handler(_Handler):
            azure = double

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    @property
    def trust(self) -> Trust:
        return Trust(Login(), str(self._ca))

    @property
    def account(self) -> AzureAccount:
        return AzureAccount(SUBSCRIPTION, "eastus", endpoint=self.url)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # what is asked

    def answer(self, method: str, target: str, body: Body | None) -> tuple[int, Any, str]:
        """Status, body, and the id of the operation that goes on."""
        url = urlsplit(target)
        words = url.path.strip("/").split("/")
        query = {key.lower(): it[0] for key, it in parse_qs(url.query).items()}
        if words[0] == "operations":
            over = len(self.calls) >= self.operations[words[1]]
            return 200, {"status": "Succeeded" if over else "InProgress"}, ""
        if words[:2] != ["subscriptions", SUBSCRIPTION]:
            raise Denied(404, "SubscriptionNotFound", f"{words[1]} was not found.")
        rest = words[2:]
        if rest and rest[0].lower() == "resourcegroups":
            return self._in_group(method, rest[1:], query, body)
        if not rest:
            return 200, {"subscriptionId": SUBSCRIPTION, "state": "Enabled"}, ""
        if rest[-3:] == ["placementScores", "spot", "generate"]:
            return 200, self._scored(body or {}), ""
        return self._in_subscription(rest, query)

    def _scored(self, asked: Body) -> Body:
        """Of sizes that no knob is set for, Azure knows nothing."""
        sizes = [it["sku"] for it in asked["desiredSizes"]]
        places, count = asked["desiredLocations"], asked["desiredCount"]
        if not (1 <= len(sizes) <= 5 and 1 <= len(places) <= 8 and 1 <= count <= 1000):
            raise Denied(400, "BadRequest", "1 to 5 sizes, 1 to 8 regions, 1 to 1000 VMs.")
        rows = [
            {
                "sku": size,
                "region": region,
                "availabilityZone": zone,
                "score": self.arm.knobs.scores.get((size, zone), "DataNotFoundOrStale"),
                "isQuotaAvailable": True,
            }
            for region in asked["desiredLocations"]
            for size in sizes
            for zone in ("1", "2", "3")
        ]
        return {**asked, "placementScores": rows}

    def _in_group(
        self, method: str, words: list[str], query: dict[str, str], body: Body | None
    ) -> tuple[int, Any, str]:
        group, rest = words[0].lower(), words[1:]
        if not rest:
            return self._group(method, group, body)
        if rest == ["resources"]:
            kept = self.arm.resources.values()
            return 200, {"value": [it for it in kept if f"/{group}/" in it["id"].lower()]}, ""
        if "deployments" in rest:
            return self._deployment(method, group, rest[rest.index("deployments") + 1 :], body)
        kind = f"{rest[1]}/{rest[2]}".lower()
        if rest[2] == "permissions":
            return 200, {"value": [self._permissions()]}, ""
        if len(rest) == 3:
            return 200, self._page(self.arm.of_kind(kind, group), query, self.arm.shown), ""
        path = Path(group, kind, rest[3])
        match method:
            case "GET":
                return 200, self.arm.get(path), ""
            case "PUT":
                new = path.key not in self.arm.resources
                made = self.arm.put(path, body or {})
                return (201 if new else 200), made, self._operation()
            case _:
                there = self.arm.delete(path)
                return (202, {}, self._operation()) if there else (204, {}, "")

    def _group(self, method: str, group: str, body: Body | None) -> tuple[int, Any, str]:
        kept = self.arm.groups
        match method:
            case "PUT":
                id = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
                kept[group] = {**(body or {}), "id": id, "name": group}
                return 201, kept[group], ""
            case "DELETE":
                if group not in kept:
                    raise Denied(404, "ResourceGroupNotFound")
                for it in [it for it in self.arm.resources if f"/{group}/" in it]:
                    self.arm.resources.pop(it, None)
                del kept[group]
                return 202, {}, self._operation()
            case _:
                if group not in kept:
                    raise Denied(404, "ResourceGroupNotFound", f"{group!r} could not be found.")
                return 200, kept[group], ""

    def _deployment(
        self, method: str, group: str, words: list[str], body: Body | None
    ) -> tuple[int, Any, str]:
        name, now = words[0], len(self.calls)
        if len(words) > 1:
            return 200, {"value": self.deployments.operations(group, name, now)}, ""
        if method == "PUT":
            return 201, self.deployments.put(group, name, body or {}, now), self._operation()
        return 200, self.deployments.get(group, name, now), ""

    def _in_subscription(self, words: list[str], query: dict[str, str]) -> tuple[int, Any, str]:
        provider, kind = words[1], words[2] if len(words) > 2 else ""
        if not kind:
            registered = provider not in self.arm.knobs.unregistered
            state = "Registered" if registered else "NotRegistered"
            return 200, {"namespace": provider, "registrationState": state}, ""
        if kind == "permissions":
            return 200, {"value": [self._permissions()]}, ""
        if kind == "skus":
            return 200, self._page(list(self.arm.skus.values()), query, _sku), ""
        if kind == "locations":
            return 200, self._of_location(provider, words[3:]), ""
        found = self.arm.of_kind(f"{provider}/{kind}".lower())
        show = self._power if query.get("statusonly") == "true" else self.arm.shown
        return 200, self._page(found, query, show), ""

    def _of_location(self, provider: str, words: list[str]) -> Body | list[Body]:
        if words[1] != "usages":
            return [{"name": "24.04.202511010", "location": words[0], "id": "/image"}]
        if provider.lower() == "microsoft.network":
            used = len(self.arm.of_kind("microsoft.network/publicipaddresses"))
            return {"value": [_usage("StandardSkuPublicIpAddresses", used, 20)]}
        limits = self.arm.knobs.cores
        families = sorted({it.family for it in self.arm.skus.values()})
        rows = [_usage(it, self.arm.cores(it), limits.get(it, 10_000)) for it in families]
        return {"value": [_usage("cores", 0, 10_000), _usage("lowPriorityCores", 0, 100), *rows]}

    def _permissions(self) -> Body:
        denied = sorted(self.arm.knobs.denied)
        return {"actions": ["*"], "notActions": denied, "dataActions": [], "notDataActions": []}

    def _power(self, vm: Body) -> Body:
        kept = self.arm.resources.get(vm["id"].lower(), vm)
        view = kept["properties"].get("instanceView")
        properties = {"instanceView": view} if view else {}
        return {"id": vm["id"], "name": vm["name"], "type": VM, "properties": properties}

    def _page(self, rows: list[Any], query: dict[str, str], show: Callable[[Any], Body]) -> Body:
        at, size = int(query.get("$skiptoken", 0)), self.arm.knobs.page_size
        page: Body = {"value": [show(it) for it in rows[at : at + size]]}
        if at + size < len(rows):
            kept = "&".join(f"{k}={v}" for k, v in query.items() if k != "$skiptoken")
            page["nextLink"] = f"{self.url}{query['path']}?{kept}&$skiptoken={at + size}"
        return page

    def _operation(self) -> str:
        id = f"op-{len(self.operations)}"
        self.operations[id] = len(self.calls) + self.arm.knobs.polls + 1
        return id


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one packet: two would wait for each other 40 ms
    disable_nagle_algorithm = True
    azure: AzureDouble

    def log_message(self, format: str, *args: object) -> None: ...

    def _any(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = msgspec.json.decode(self.rfile.read(size)) if size else None
        gate, call = self.azure.gate, f"{self.command} {urlsplit(self.path).path}"
        with self.azure.lock:
            try:
                cut = gate.stops(f"before {call}")
                status, answer, headers = (0, {}, {}) if cut else self._handled(body)
            except Denied as denied:
                status, answer, headers = denied.status, {"error": denied.body}, {}
                if denied.status == 429:
                    headers = {"Retry-After": str(self.azure.arm.knobs.retry_after_s)}
        if gate.stops(f"after {call}") or status == 0:
            self.close_connection = True
            self.connection.close()
            return
        self._send(status, answer, headers)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = _any  # noqa: N815

    def _handled(self, body: Body | None) -> tuple[int, Any, dict[str, str]]:
        knobs = self.azure.arm.knobs
        path = urlsplit(self.path).path
        call = f"{self.command} {_kind(path)}"
        self.azure.calls.append(call)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Denied(401, "InvalidAuthenticationToken", "The access token is invalid.")
        if "api-version" not in self.path:
            raise Denied(400, "MissingApiVersionParameter")
        if knobs.throttles:
            knobs.throttles -= 1
            raise Denied(429, "TooManyRequests", "Too many requests.")
        joiner = "&" if "?" in self.path else "?"
        target = f"{self.path}{joiner}path={path}"
        status, answer, operation = self.azure.answer(self.command, target, body)
        if call in knobs.lost:
            knobs.lost.remove(call)
            return 0, {}, {}
        url = f"{self.azure.url}/operations/{operation}?api-version=2024-01-01"
        headers = {"Azure-AsyncOperation": url, "Retry-After": "0"} if operation else {}
        return status, answer, headers

    def _send(self, status: int, answer: Any, headers: dict[str, str]) -> None:
        data = b"" if status == 204 else msgspec.json.encode(answer)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _kind(path: str) -> str:
    """The last word that is no name: "virtualMachines", "deployments"."""
    words = path.strip("/").split("/")
    if words[0] == "operations":
        return "operations"
    if "deployments" in words:
        return "operations of deployments" if words[-1] == "operations" else "deployments"
    if "providers" not in words:
        return "resourceGroups" if len(words) > 2 else "subscriptions"
    at = words.index("providers")
    return words[at + 2] if len(words) > at + 2 else "providers"


def _usage(name: str, used: int, limit: int) -> Body:
    told = {"value": name, "localizedValue": name}
    return {"unit": "Count", "currentValue": used, "limit": limit, "name": told}


def _sku(it: Any) -> Body:
    told = {
        "vCPUs": str(it.vcpu),
        "MemoryGB": f"{it.memory_gib:g}",
        "CpuArchitectureType": it.arch,
        "LowPriorityCapable": str(it.spot),
        **({"GPUs": str(it.gpu)} if it.gpu else {}),
    }
    return {
        "resourceType": "virtualMachines",
        "name": it.name,
        "family": it.family,
        "locations": ["eastus"],
        "locationInfo": [{"location": "eastus", "zones": list(it.zones)}],
        "capabilities": [{"name": key, "value": value} for key, value in told.items()],
        "restrictions": [],
    }


def prepared(arm: Arm, group: str = "shoal", region: str = "eastus") -> Arm:
    """With the network and the identity that `prepare` makes."""
    from tests.doubles.azure.arm import SECURITY_GROUP

    arm.groups[group] = {"name": group, "location": region, "tags": {}}
    network = {
        "location": region,
        "tags": {"shoal-made-by": "setup"},
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.80.0.0/16"]},
            "subnets": [{"name": "shoal", "properties": {"addressPrefix": "10.80.0.0/16"}}],
        },
    }
    arm.put(Path(group, NETWORK, f"shoal-{region}"), network)
    closed = {"location": region, "tags": {"shoal-made-by": "setup"}}
    arm.put(Path(group, SECURITY_GROUP, f"shoal-closed-{region}"), closed)
    identities = "microsoft.managedidentity/userassignedidentities"
    arm.put(Path(group, identities, "shoal-vm"), dict(closed))
    return arm

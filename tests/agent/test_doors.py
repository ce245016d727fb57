"""Nothing on a cluster's VMs answers whoever has no business there."""

from __future__ import annotations

import asyncio
import ssl

import httpx2
import msgspec
import psutil
import pytest
from rig import CLUSTER, KEY, Cluster, ready

from shoal.trust import authority, joining
from shoal.trust.contexts import dialer, joining_dialer
from shoal.trust.identities import Identity, WorkerIdentity
from shoal.trust.names import Role, host_name
from shoal.wire.ids import ClusterId, InstanceId, UserName, instance_id
from shoal.wire.reports import JoinAnswer, JoinRequest, VmReport, WorkerBeat
from shoal.wire.specs import Role as VmRole
from shoal.wire.views import Stage

NAMES = {"sni_hostname": host_name(Role.HEAD, CLUSTER)}


async def call(
    cluster: Cluster, context: ssl.SSLContext, method: str, path: str, body: object = None
) -> httpx2.Response:
    async with httpx2.AsyncClient(verify=context) as client:
        content = None if body is None else msgspec.json.encode(body)
        url = f"https://{cluster.address(0)}{path}"
        return await client.request(method, url, content=content, extensions=NAMES)


async def join(cluster: Cluster, number: int) -> WorkerIdentity:
    """As a worker does."""
    instance = instance_id(CLUSTER, number)
    made = joining.new_request(instance, CLUSTER)
    ca_pem = authority.ca_pem(KEY, CLUSTER, cluster.created_at)
    secret = authority.join_secret(KEY, CLUSTER).text
    body = JoinRequest(instance, secret, made.csr_pem)
    answer = await call(cluster, joining_dialer(ca_pem), "POST", "/v1/join", body)
    joined = msgspec.json.decode(answer.raise_for_status().content, type=JoinAnswer)
    return WorkerIdentity(ca_pem, joined.certificate_pem, made.key_pem)


def listening(cluster: Cluster) -> set[tuple[str, int]]:
    return {
        (connection.laddr.ip, connection.laddr.port)
        for process in cluster.processes()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


async def knock(address: tuple[str, int], context: ssl.SSLContext | None) -> bytes:
    """What an HTTP request to that port is answered with, if anything."""
    try:
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(
                *address, ssl=context, server_hostname=None
            )
            writer.write(b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer
    except (OSError, TimeoutError):
        return b""


def unverified(identity: Identity | None = None) -> ssl.SSLContext:
    """Accepts any listener; shows a certificate if it has one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if identity is None else dialer(identity)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_no_port_answers_without_a_certificate_of_the_cluster(cluster: Cluster) -> None:
    async def scenario() -> None:
        for number in (0, 1):
            cluster.start(number)
        await cluster.ask()
        await cluster.until(ready(0, 1))
        ports = listening(cluster)
        assert len(ports) == 5  # agent; scheduler and its pages; worker and its pages
        other = ClusterId("c-zzzzzzzzzz")
        stranger = authority.client_identity(KEY, other, cluster.created_at, UserName("eve"))
        for address in ports:
            assert not await knock(address, None)
            for context in (unverified(), unverified(stranger)):
                answer = await knock(address, context)
                assert not answer or answer.startswith(b"HTTP/1.1 404")  # the agent: no such route
        own = authority.client_identity(KEY, CLUSTER, cluster.created_at, UserName("ada"))
        pages = cluster.scheduler.dashboard_address.rpartition(":")
        answer = await knock((pages[0], int(pages[2])), unverified(own))
        assert answer.startswith(b"HTTP/1.1 ")  # it is not that nobody is there

    asyncio.run(scenario())


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "path", "who"),
    [
        ("PUT", "/v1/orders", "server"),
        ("PUT", "/v1/wheels/" + "0" * 64, "server"),
        ("GET", "/v1/report", "server"),
        ("GET", "/v1/orders", "worker"),
        ("GET", "/v1/wheels/" + "0" * 64, "worker"),
        ("POST", "/v1/beat", "worker"),
    ],
)
def test_a_route_serves_its_own_role_alone(
    cluster: Cluster, method: str, path: str, who: str
) -> None:
    async def scenario() -> None:
        cluster.start(0)
        await cluster.ask(stop_rules=cluster.orders.stop_rules)
        at = cluster.created_at
        others: dict[str, Identity] = {
            "server": authority.server_identity(KEY, CLUSTER, at),
            "worker": await join(cluster, 3),
            "client": authority.client_identity(KEY, CLUSTER, at, UserName("ada")),
        }
        allowed = others.pop(who)
        nobody = joining_dialer(authority.ca_pem(KEY, CLUSTER, at))
        assert (await call(cluster, nobody, method, path)).status_code == 401
        for identity in others.values():
            assert (await call(cluster, dialer(identity), method, path)).status_code == 403
        assert (await call(cluster, dialer(allowed), method, path)).status_code not in (401, 403)

    asyncio.run(scenario())


def test_a_worker_speaks_for_itself_alone(cluster: Cluster) -> None:
    async def scenario() -> None:
        cluster.start(0)
        await cluster.ask()
        identity = await join(cluster, 3)
        report = VmReport(instance_id(CLUSTER, 4), VmRole.WORKER, Stage.READY, cluster.created_at)
        answer = await call(cluster, dialer(identity), "POST", "/v1/beat", WorkerBeat(report))
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("secret", "instance", "status"),
    [
        ("wrong", instance_id(CLUSTER, 1), 403),
        (None, InstanceId("shoal-c-zzzzzzzzzz-1"), 403),
    ],
)
def test_only_vms_of_the_cluster_may_join(
    cluster: Cluster, secret: str | None, instance: InstanceId, status: int
) -> None:
    async def scenario() -> None:
        cluster.start(0)
        await cluster.ask()
        made = joining.new_request(instance, CLUSTER)
        ca_pem = authority.ca_pem(KEY, CLUSTER, cluster.created_at)
        shown = secret or authority.join_secret(KEY, CLUSTER).text
        body = JoinRequest(instance, shown, made.csr_pem)
        answer = await call(cluster, joining_dialer(ca_pem), "POST", "/v1/join", body)
        assert answer.status_code == status

    asyncio.run(scenario())


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/orders", b"{"),
        ("PUT", "/v1/orders", b"\xff"),
        ("PUT", "/v1/orders", b"{}"),
        ("PUT", "/v1/wheels/x", b"a wheel nobody asked for"),
        ("GET", "/v1/report?cursor=-1", None),
        ("GET", "/v1/report?cursor=x", None),
        ("GET", "/v1/report?wait_s=x", None),
        ("GET", "/v1/report?wait_s=nan", None),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(
    cluster: Cluster, method: str, path: str, body: bytes | None
) -> None:
    async def scenario() -> None:
        cluster.start(0)
        await cluster.ask()
        assert (await cluster.call(method, path, body)).status_code == 422
        assert (await cluster.call("GET", "/v1/report")).status_code == 200

    asyncio.run(scenario())

"""What stands between a session and its cluster outside of one machine: proxies, closed ways, and
uploads that break."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
import uvicorn
from fake_server import CLUSTER, NOW, TOKEN, FakeServer, view

import shoal
from shoal.client import environment, parting
from shoal.client.place import Place
from shoal.client.progress import Progress, Silent
from shoal.errors import ClusterFailed, StoreFault
from shoal.software.sync import Synchronised
from shoal.software.targets import here
from shoal.trust import authority
from shoal.trust.installation_key import InstallationKey
from shoal.wire import endpoints
from shoal.wire.environments import Manifest
from shoal.wire.ids import EnvironmentId
from shoal.wire.views import (
    ClientCertificate,
    ClusterStatus,
    Ended,
    EnvironmentNeeds,
    InstanceList,
    Preview,
)

NOBODY = "http://127.0.0.1:9"  # no proxy listens there


@pytest.fixture
def url(server: FakeServer) -> Iterator[str]:
    """Where the fake listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    serving = uvicorn.Server(uvicorn.Config(server.app, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    serving.should_exit = True
    thread.join()
    listener.close()


def test_at_the_interpreters_end_this_machines_server_is_told_without_a_proxy(
    server: FakeServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    monkeypatch.setenv("http_proxy", NOBODY)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    server.on(endpoints.STOP_CLUSTER, lambda call: Ended(CLUSTER, already=False))
    parting.tell_at_exit(Place(url, TOKEN), view())
    assert len(server.asked(endpoints.STOP_CLUSTER)) == 1


def test_a_scheduler_that_is_not_reached_from_here_is_told_and_the_cluster_ended(
    server: FakeServer, url: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as it:
        address = f"tls://127.0.0.1:{it.getsockname()[1]}"
    key = InstallationKey(bytes(range(32)))
    client = authority.client_identity(key, CLUSTER, NOW, "ada")
    ready = view(ClusterStatus.READY, scheduler_address=address)
    for endpoint, answer in {
        endpoints.ENVIRONMENT: Manifest(EnvironmentId("prod"), "", here().python, here().platform),
        endpoints.PREVIEW_CLUSTER: Preview((), None, None),
        endpoints.CREATE_CLUSTER: ready,
        endpoints.CLUSTER: ready,
        endpoints.INSTANCES: InstanceList(()),
        endpoints.CHANGES: [],
        endpoints.STOP_CLUSTER: Ended(CLUSTER, already=False),
        endpoints.CERTIFICATE: ClientCertificate(
            address, client.ca_pem, client.certificate_pem, client.key_pem.text
        ),
    }.items():
        server.on(endpoint, lambda call, it=answer: it)
    with (
        dask.config.set(
            {
                "shoal.server": url,
                "shoal.token": TOKEN,
                "distributed.comm.timeouts.connect": "100 ms",
            }
        ),
        pytest.raises(ClusterFailed, match="not reached from here") as told,
    ):
        shoal.Cluster(software="prod", show_widget=False)
    assert address in told.value.message
    assert "allow_ingress_from" in told.value.hint
    assert len(server.asked(endpoints.STOP_CLUSTER)) == 1


def test_an_upload_that_fails_is_told_as_the_error_that_it_is(
    server: FakeServer, tmp_path: Path
) -> None:
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(b"x")

    def full(call: object) -> object:
        raise StoreFault("the disk is full", hint="make room")

    server.on(endpoints.PUT_WHEEL, full)
    server.on(
        endpoints.PUT_ENVIRONMENT,
        lambda call: EnvironmentNeeds(EnvironmentId("env-1"), ("0" * 64,)),
    )
    manifest = Manifest(EnvironmentId("env-1"), "", here().python, here().platform)
    copied = Synchronised(manifest, {"0" * 64: wheel}, (), {})

    async def work() -> None:
        async with server.api() as api:
            await environment.register(api, copied, Progress("mine", Silent()))

    with pytest.raises(StoreFault, match="the disk is full"):
        asyncio.run(work())

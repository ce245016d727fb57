"""A bare VM becomes a head or a worker: the bootstrap as a process, beside a metadata service.

The test plays the server: it tells the head which files make an agent, and sends what it lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import pytest
from tests.agent.rig import CLUSTER, Cluster

from shoal.agent import bootstrap
from shoal.core.boot import MAX_BYTES, bare_boot_text
from shoal.software.bundles import Bundles
from shoal.wire.boot import BootDocument
from shoal.wire.bundle import Bare, Bundle
from shoal.wire.environments import Manifest
from shoal.wire.ids import EnvironmentId, instance_id
from shoal.wire.specs import Role

NOTHING = Manifest(EnvironmentId("env-none"), "", "3.11.7", "x")
PROGRAM = Path(bootstrap.__file__)


@contextlib.contextmanager
def metadata(name: str, address: str) -> Iterator[str]:
    """Google's, for one VM."""
    told = {"name": name, "ip": address}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = told[self.path.rpartition("/")[2]].encode()
            asked = self.headers["Metadata-Flavor"] == "Google"
            self.send_response(200 if asked else 403)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class BareCluster(Cluster):
    def start_bare(self, number: int, base: str) -> None:
        name, home = instance_id(CLUSTER, number), self.directory(number)
        home.mkdir(parents=True)
        boot = home / "boot.json"
        boot.write_bytes(msgspec.json.encode(self._boot(number, cloud="gcp")))
        self.agents[name] = subprocess.Popen(
            [sys.executable, "-I", "-u", PROGRAM, boot, home, base], env={"SHOAL_VM_END": "exit"}
        )

    async def bare(self, method: str, path: str, content: bytes | None = None) -> Bare | None:
        """What the head's VM says; None: an agent is there."""
        while True:
            try:
                answer = await self.call(method, path, content)
            except httpx2.TransportError:
                await asyncio.sleep(0.03)
                continue
            if answer.status_code == 204:
                return None
            return msgspec.json.decode(answer.raise_for_status().content, type=Bare)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[BareCluster]:
    made = BareCluster(tmp_path, NOTHING, tmp_path / "environments")
    yield made
    made.kill()


@pytest.mark.long
def test_a_bare_head_and_a_bare_worker_get_their_agents(
    cluster: BareCluster, tmp_path: Path
) -> None:
    head, worker = instance_id(CLUSTER, 0), instance_id(CLUSTER, 1)
    addresses = [cluster.address(number).partition(":")[0] for number in (0, 1)]

    async def story() -> None:
        bundles = Bundles(tmp_path / "cache")
        told = await cluster.bare("GET", "/v1/bundle")
        assert told is not None
        assert not told.told
        bundle = bundles.of(told.python, told.machine)
        unreachable = Bundle(
            tuple(msgspec.structs.replace(it, url="") for it in bundle.files[:2]) + bundle.files[2:]
        )
        told = await cluster.bare("PUT", "/v1/bundle", msgspec.json.encode(unreachable))
        assert told is not None
        assert len(told.lacks) == 3, "two that no index has, and Shoal itself"
        for sha256 in told.lacks:
            content = bundles.file(bundle, sha256).read_bytes()
            await cluster.bare("PUT", f"/v1/bundle/{sha256}", content)
        while await cluster.bare("GET", "/v1/bundle") is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.03)
        await cluster.ask()
        await cluster.until(lambda it: worker in it.vms and head in it.vms)

    with metadata(head, addresses[0]) as first, metadata(worker, addresses[1]) as second:
        cluster.start_bare(0, first)
        cluster.start_bare(1, second)
        asyncio.run(asyncio.wait_for(story(), 90))


def test_only_the_server_is_let_in() -> None:
    def certificate(uri: str) -> dict[str, object]:
        return {"subjectAltName": (("DNS", "x"), ("URI", uri))}

    assert bootstrap.from_server(certificate(f"shoal://server.{CLUSTER}.shoal/server"), CLUSTER)
    for uri in (f"shoal://worker.{CLUSTER}.shoal/server", "shoal://server.c-other.shoal/server"):
        assert not bootstrap.from_server(certificate(uri), CLUSTER)
    assert not bootstrap.from_server(None, CLUSTER)


def test_what_is_not_its_hash_is_not_kept(tmp_path: Path) -> None:
    bundle = bootstrap.Bundle(bootstrap.Place(str(tmp_path)))
    source = tmp_path / "source"
    source.write_bytes(b"other")
    with source.open("rb") as stream:
        assert not bundle.keep("0" * 64, stream)
    assert list((tmp_path / "bundle").iterdir()) == []


def test_the_boot_text_of_a_bare_vm_is_small_and_the_same_each_time() -> None:
    document = BootDocument(
        CLUSTER, Role.SCHEDULER, "c" * 500, "s" * 43, "", "h" * 1000, "k" * 130, cloud="gcp"
    )
    program = PROGRAM.read_bytes()
    text = bare_boot_text(document, program)
    assert text == bare_boot_text(document, program)
    assert text.startswith("#!/bin/sh\n")
    assert len(text) < MAX_BYTES - 1000

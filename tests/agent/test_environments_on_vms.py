"""How an environment gets to the VMs, and what happens when it cannot or when it changes."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile

import msgspec
import pytest
from rig import CLUSTER, Cluster, ready

from shoal.wire.environments import Manifest, WheelFile, environment_id
from shoal.wire.ids import instance_id

pytestmark = pytest.mark.long

PLATFORM = "x86_64-unknown-linux-gnu"


def tiny_wheel() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny.py", "VALUE = 42\n")
        archive.writestr(
            "tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
        )
        archive.writestr(
            "tiny-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(
            "tiny-1.0.dist-info/RECORD",
            "tiny.py,,\ntiny-1.0.dist-info/METADATA,,\n"
            "tiny-1.0.dist-info/WHEEL,,\ntiny-1.0.dist-info/RECORD,,\n",
        )
    return file.getvalue()


def manifest_of(wheel: bytes, python: str = "3.11") -> Manifest:
    sha256 = hashlib.sha256(wheel).hexdigest()
    name = "tiny-1.0-py3-none-any.whl"
    lock = (
        'lock-version = "1.0"\ncreated-by = "tests"\n\n'
        '[[packages]]\nname = "tiny"\nversion = "1.0"\n'
        f'archive = {{ path = "wheels/{name}", hashes = {{ sha256 = "{sha256}" }} }}\n'
    )
    wheels = (WheelFile(name, sha256, len(wheel), "tiny", "1.0", "modules"),)
    return Manifest(environment_id(lock, python, PLATFORM, wheels), lock, python, PLATFORM, wheels)


def test_wheels_travel_from_the_server_by_the_head_to_the_worker(cluster: Cluster) -> None:
    async def scenario() -> None:
        wheel = tiny_wheel()
        manifest = manifest_of(wheel)
        [sha256] = [it.sha256 for it in manifest.wheels]
        # Two machines: the worker's does not have what the head's has made.
        cluster.environments = {1: cluster.directory(1) / "store"}
        for number in (0, 1):
            cluster.start(number)
        taken = await cluster.ask(manifest=manifest)
        assert taken.missing_wheels == (sha256,)
        await cluster.until(lambda it: it.last is not None and it.last.missing_wheels == (sha256,))
        refused = await cluster.call("PUT", f"/v1/wheels/{sha256}", b"something else")
        assert refused.status_code == 422
        await cluster.call("PUT", f"/v1/wheels/{sha256}", wheel)
        await cluster.until(lambda it: it.stage(1) in ("starting", "failed"))
        [installed] = (cluster.directory(1) / "prefixes" / manifest.id).rglob("tiny.py")
        assert installed.read_text() == "VALUE = 42\n"
        took = {it.phase: it.seconds for it in cluster.vms[instance_id(CLUSTER, 1)].made_in}
        assert took.keys() >= {"wheels", "installing"}
        assert min(took.values()) > 0
        await cluster.until(lambda it: "is made: wheels" in it.text())
        log = [it.text for it in cluster.logs if it.process == "environment"]
        assert any(it.startswith("+ tiny==1.0") for it in log)
        await cluster.take_report()
        assert cluster.last is not None
        assert cluster.last.missing_wheels == ()

    asyncio.run(scenario())


def test_an_environment_that_cannot_be_made_says_so_in_the_installers_words(
    cluster: Cluster,
) -> None:
    async def scenario() -> None:
        wheel = b"this is no wheel"
        manifest = manifest_of(wheel)
        for number in (0, 1):
            cluster.start(number)
        await cluster.ask(manifest=manifest)
        [sha256] = [it.sha256 for it in manifest.wheels]
        await cluster.call("PUT", f"/v1/wheels/{sha256}", wheel)
        await cluster.until(lambda it: it.stage(0) == it.stage(1) == "failed")
        assert "tiny" in cluster.vms[instance_id(CLUSTER, 1)].failure
        await cluster.until(lambda it: it.text().count("environment ERROR: ") == 2)
        own = instance_id(CLUSTER, 1)
        log = [it.text for it in cluster.logs if (it.instance, it.process) == (own, "environment")]
        asked = next(n for n, it in enumerate(log) if it.startswith("$ uv pip sync"))
        assert any("tiny" in it for it in log[asked + 1 : -1])
        assert log[-1].startswith(f"ERROR: {manifest.id} is not made: tiny could not be installed")

    asyncio.run(scenario())


def test_another_environment_reaches_the_workers_and_spares_the_scheduler(
    cluster: Cluster, second: Manifest
) -> None:
    async def scenario() -> None:
        for number in (0, 1):
            cluster.start(number)
        await cluster.ask()
        await cluster.until(ready(0, 1))
        scheduler = cluster.dask_child(0)
        async with cluster.client() as client:
            await cluster.ask(manifest=second)
            await cluster.until(lambda it: it.stage(1) == "starting")
            await cluster.until(ready(0, 1))
            await client.wait_for_workers(1)
            prefix = await client.submit(lambda: __import__("sys").prefix)
        assert prefix.endswith(second.id)
        assert cluster.dask_child(0).pid == scheduler.pid
        assert cluster.vms[instance_id(CLUSTER, 1)].restarts == 0

    asyncio.run(scenario())


def test_an_environment_that_cannot_be_made_leaves_the_running_one_alone(
    cluster: Cluster,
) -> None:
    async def scenario() -> None:
        for number in (0, 1):
            cluster.start(number)
        await cluster.ask()
        await cluster.until(ready(0, 1))
        broken = msgspec.structs.replace(cluster.orders.manifest, id="env-broken", lock="nonsense")
        await cluster.ask(manifest=broken)
        await cluster.until(lambda it: "env-broken" in it.text())
        async with cluster.client() as client:
            assert await client.submit(sum, [1, 2]) == 3

    asyncio.run(scenario())

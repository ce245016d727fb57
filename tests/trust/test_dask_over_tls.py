"""A real Dask cluster of two workers on loopback: head, workers and client, each with its own."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import dask
import pytest
from distributed import Client, Scheduler, Worker
from distributed.security import Security
from two_clusters import CLUSTER, CREATED_AT, KEY, OTHER, join

from shoal.trust import authority
from shoal.trust.dask_tls import from_files, from_text
from shoal.trust.identities import HeadIdentity, write
from shoal.trust.installation_key import InstallationKey
from shoal.wire.ids import ClusterId, UserName

NO_DASHBOARD = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}


def client_security(key: InstallationKey, cluster: ClusterId) -> Security:
    identity = authority.client_identity(key, cluster, CREATED_AT, UserName("ada"))
    return Security(**from_text(identity))


def on_disk(identity: HeadIdentity, number: int, directory: Path) -> Security:
    return Security(**from_files(write(join(identity, number), directory / str(number))))


def test_dask_talks_in_all_directions(head: HeadIdentity, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            Scheduler(
                host="tls://127.0.0.1", port=0, security=Security(**from_text(head)), **NO_DASHBOARD
            ) as scheduler,
            Worker(scheduler.address, security=on_disk(head, 1, tmp_path), nthreads=1) as one,
            Worker(scheduler.address, security=on_disk(head, 2, tmp_path), nthreads=1) as two,
            Client(
                scheduler.address, security=client_security(KEY, CLUSTER), asynchronous=True
            ) as client,
        ):
            here = client.submit(str.upper, "shoal", workers=[one.address])
            there = client.submit("{}!".format, here, workers=[two.address])
            assert await there == "SHOAL!"  # worker to worker: the value moved
            assert set(await client.run(int)) == {one.address, two.address}  # scheduler to worker

    with dask.config.set({"distributed.worker.memory.target": False}):
        asyncio.run(scenario())


def test_dask_refuses_a_client_of_another_cluster(head: HeadIdentity) -> None:
    async def scenario() -> None:
        security = Security(**from_text(head))
        async with Scheduler(
            host="tls://127.0.0.1", port=0, security=security, **NO_DASHBOARD
        ) as scheduler:
            stranger = Client(
                scheduler.address,
                security=client_security(KEY, OTHER),
                asynchronous=True,
                timeout="1s",
            )
            with pytest.raises(OSError, match=r"(?i)certificate|timed out"):
                await stranger

    asyncio.run(scenario())


def test_an_identity_on_disk_is_for_its_owner_alone(head: HeadIdentity, tmp_path: Path) -> None:
    directory = tmp_path / "identity"
    for _ in range(2):  # a second start replaces what the first left
        files = write(head, directory)
    for path in (directory, files.ca, files.certificate, files.key):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert files.key.read_text() == head.key_pem.text
    assert sorted(directory.iterdir()) == sorted([files.ca, files.certificate, files.key])


def test_dask_does_not_print_keys(head: HeadIdentity) -> None:
    assert "PRIVATE KEY" not in repr(Security(**from_text(head)))

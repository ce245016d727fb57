"""Preemption, as each cloud's metadata service tells it, and what the head makes of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from tests.doubles.machines import Machine
from tests.vms.made import machine
from tests.vms.metadata.azure import AzureMetadata
from tests.vms.metadata.ec2 import Ec2Metadata
from tests.vms.metadata.gce import GceMetadata
from tests.vms.metadata.server import Metadata, MetadataServer

from shoal.agent import notices
from shoal.wire.reports import NO_NOTICE

AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
KINDS: dict[str, Callable[[Machine], Metadata]] = {
    "gcp": GceMetadata,
    "aws": Ec2Metadata,
    "azure": AzureMetadata,
}
SAYS = {"gcp": "preempts", "aws": "will terminate this VM at 2030", "azure": "evicts this VM at"}


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.mark.parametrize("cloud", list(KINDS))
def test_a_notice_is_heard_once_it_is_given_and_not_before(
    cloud: str, door: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    one = machine(cloud, 1, "", spot=True)
    service = KINDS[cloud](one)
    server = MetadataServer(door)
    server.welcome("127.0.0.1", service)
    url = f"http://127.0.0.1:{door.getsockname()[1]}"

    async def story() -> str:
        waiting = asyncio.create_task(notices.notice(cloud, one.name or one.id, url, every_s=0.01))
        while NO_NOTICE not in caplog.messages:
            assert not waiting.done()
            await asyncio.sleep(0.005)
        service.warn(AT)
        return await asyncio.wait_for(waiting, 10)

    try:
        assert SAYS[cloud] in asyncio.run(story())
        assert caplog.messages.count(NO_NOTICE) == 1
    finally:
        server.close()


def test_a_service_that_does_not_answer_is_asked_again(door: socket.socket) -> None:
    one = machine("gcp", 1, "", spot=True)
    service = GceMetadata(one)
    service.warn(AT)
    server = MetadataServer(door)
    url = f"http://127.0.0.1:{door.getsockname()[1]}"

    async def story() -> str:
        waiting = asyncio.create_task(notices.notice("gcp", one.name, url, every_s=0.01))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        server.welcome("127.0.0.1", service)
        return await asyncio.wait_for(waiting, 10)

    try:
        assert "preempts" in asyncio.run(story())
    finally:
        server.close()


def test_what_amazon_recommends_is_a_warning_once_and_no_notice(door: socket.socket) -> None:
    one = machine("aws", 1, "", spot=True)
    service = Ec2Metadata(one)
    server = MetadataServer(door)
    server.welcome("127.0.0.1", service)
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    warnings: list[str] = []

    async def story() -> str:
        service.recommend(AT)
        warned = asyncio.Event()

        def hear(warning: str) -> None:
            warnings.append(warning)
            warned.set()

        waiting = asyncio.create_task(notices.notice("aws", one.id, url, hear, every_s=0.01))
        await asyncio.wait_for(warned.wait(), 10)
        assert not waiting.done()
        service.warn(AT)
        return await asyncio.wait_for(waiting, 10)

    try:
        assert SAYS["aws"] in asyncio.run(story())
        assert warnings == ["may be interrupted soon, AWS said at 2030-01-02T03:04:05Z"]
    finally:
        server.close()

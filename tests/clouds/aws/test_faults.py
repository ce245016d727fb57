"""Amazon's provider and the double, and between them a proxy that breaks calls as AWS does."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator

import msgspec
import pytest
from aiohttp import web
from microburst.app import make_app
from microburst.core.pipeline import Microburst

from shoal.clouds.aws.cloud import AwsCloud
from shoal.clouds.provider import Launched, LaunchError, Refused, Throttled, Unknown
from tests.clouds.aws.test_cloud import NOW, OURS, batch
from tests.doubles.aws.knobs import Knobs
from tests.doubles.aws.server import AwsDouble

pytestmark = pytest.mark.long

numbers = itertools.count(1)  # of batches


class Weather:
    """The proxy, and a provider that reaches the double through it."""

    def __init__(self, double: AwsDouble, url: str) -> None:
        self.double, self._url = double, url
        account = msgspec.structs.replace(double.account, endpoint=url)
        self.cloud = AwsCloud(account, OURS, clock=lambda: NOW, session=double.session)
        self.asked = batch(2)

    def breaks(self, **fault: object) -> None:
        """The next call of that kind, as microburst's rules say it."""
        rules = json.dumps([{"service": "ec2", "times": 1, **fault}]).encode()
        request = urllib.request.Request(f"{self._url}/_microburst/rules", rules, method="POST")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def launch(self) -> Launched:
        return asyncio.run(self.cloud.launch(self.asked, "#!/bin/sh\n"))

    def vms(self) -> int:
        """Those of the batch that was asked for last."""
        found = asyncio.run(self.cloud.list())
        return len([it for it in found if it.kind == "vm" and it.batch == self.asked.id])


@pytest.fixture(scope="module")
def weather() -> Iterator[Weather]:
    with AwsDouble(Knobs(regions=("us-east-1",))) as double:
        listening = socket.create_server(("127.0.0.1", 0))
        ready, loop = threading.Event(), asyncio.new_event_loop()

        async def serve(ended: asyncio.Event) -> None:
            runner = web.AppRunner(make_app(Microburst(double.account.endpoint)))
            await runner.setup()
            await web.SockSite(runner, listening).start()
            ready.set()
            await ended.wait()
            await runner.cleanup()

        ended = asyncio.Event()
        thread = threading.Thread(target=loop.run_until_complete, args=(serve(ended),))
        thread.start()
        assert ready.wait(10)
        yield Weather(double, f"http://127.0.0.1:{listening.getsockname()[1]}")
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


FAULTS = [
    ({"error": {"code": "RequestLimitExceeded", "status": 503}}, Throttled),
    ({"error": {"code": "UnauthorizedOperation", "status": 403}}, Refused),
    ({"error": {"code": "ExpiredToken", "status": 400}}, Refused),
    ({"error": {"code": "InternalError", "status": 500}}, Unknown),
    ({"reset": True}, Unknown),
    ({"response": {"abort_frac": 0.3}}, Unknown),
    ({"response": {"truncate_frac": 0.5}}, Unknown),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS)
@pytest.mark.parametrize("operation", ["CreateLaunchTemplate", "CreateFleet"])
def test_whatever_breaks_a_launch_the_next_one_makes_each_vm_once(
    weather: Weather, operation: str, fault: dict[str, object], error: type[LaunchError]
) -> None:
    weather.asked = batch(2, number=next(numbers))
    weather.breaks(operation=operation, **fault)
    with pytest.raises(error):
        weather.launch()
    assert len(weather.launch().vms) == 2
    assert weather.vms() == 2


@pytest.mark.parametrize(("fault", "error"), FAULTS)
def test_a_broken_listing_is_no_listing(
    weather: Weather, fault: dict[str, object], error: type[LaunchError]
) -> None:
    weather.launch()
    weather.breaks(operation="DescribeInstances", **fault)
    with pytest.raises(error):
        asyncio.run(weather.cloud.list())
    assert weather.vms() == 2

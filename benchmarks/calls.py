"""Calls, seconds and bytes for a cloud's workers, by the vendor's own client against its double.

For 1, 10, 100 and 1,000 workers: one batch launched, listed once, and ended. The seconds are the
double's as much as ours, and on loopback; calls and bytes are what the cloud would see.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from tests.clouds.aws import test_cloud as aws
from tests.clouds.azure import rig as azure
from tests.clouds.gcp import test_cloud as gcp
from tests.doubles.aws.knobs import Knobs
from tests.doubles.aws.server import AwsDouble
from tests.doubles.azure.arm import Arm
from tests.doubles.azure.server import AzureDouble, prepared
from tests.doubles.gcp.compute import Compute
from tests.doubles.gcp.server import GcpDouble

from benchmarks.relay import Relay, relay
from benchmarks.table import Row
from shoal.clouds.aws.cloud import AwsCloud
from shoal.clouds.azure.cloud import AzureCloud
from shoal.clouds.gcp.cloud import GcpCloud
from shoal.clouds.provider import Provider
from shoal.core.records import Batch

COUNTS = (1, 10, 100, 1000)


class Seen(msgspec.Struct, frozen=True):
    """Of a cloud: its provider, how many calls there were, and the bytes of them."""

    provider: Provider
    batch: Callable[[int], Batch]
    calls: Callable[[], int]
    relay: Relay


def measure() -> list[Row]:
    return [row for make in (_gcp, _aws, _azure) for count in COUNTS for row in _rows(make, count)]


def _rows(make: Callable[[], contextlib.AbstractContextManager[Seen]], count: int) -> list[Row]:
    with make() as seen:
        began = seen.calls(), seen.relay.bytes, time.perf_counter()
        told = asyncio.run(_story(seen, count))
        calls, sent = seen.calls() - began[0], seen.relay.bytes - began[1]
        seconds = time.perf_counter() - began[2]
    what = f"{seen.provider.cloud}, {count:,} workers: "
    aim = "tens" if count == COUNTS[-1] else ""
    return [
        Row(f"{what}calls to launch", told[0], "", aim=aim),
        Row("  to list", told[1], ""),
        Row("  to end", calls - told[0] - told[1], ""),
        Row("  in all", seconds, "s"),
        Row("  sent and received", sent / 1024, "KiB"),
    ]


async def _story(seen: Seen, count: int) -> tuple[int, int]:
    """Calls of the launch, and of a listing."""
    before = seen.calls()
    launched = await seen.provider.launch(seen.batch(count), "#!/bin/sh\n" + "x" * 10_000)
    after = seen.calls()
    listed = await seen.provider.list()
    listing = seen.calls() - after
    assert len(launched.vms) == len(listed) == count
    await seen.provider.terminate(listed)
    return after - before, listing


@contextlib.contextmanager
def _gcp() -> Iterator[Seen]:
    with GcpDouble(Compute()) as double, relay(double.account.endpoint) as road:
        cloud = GcpCloud(
            msgspec.structs.replace(double.account, endpoint=road.url),
            gcp.OURS,
            clock=_now,
            credentials=double.credentials,
        )
        yield Seen(cloud, gcp.batch, lambda: len(double.compute.calls), road)


@contextlib.contextmanager
def _aws() -> Iterator[Seen]:
    """An account with one region: each more is a call more for a listing."""
    double = AwsDouble(Knobs(regions=("us-east-1",)))
    with double, relay(double.account.endpoint) as road:
        cloud = AwsCloud(
            msgspec.structs.replace(double.account, endpoint=road.url),
            aws.OURS,
            clock=_now,
            session=double.session,
        )
        yield Seen(cloud, aws.batch, lambda: sum(double.front.calls.values()), road)


@contextlib.contextmanager
def _azure() -> Iterator[Seen]:
    with (
        tempfile.TemporaryDirectory() as folder,
        AzureDouble(prepared(Arm()), Path(folder)) as double,
        relay(double.url) as road,
    ):
        cloud = AzureCloud(
            msgspec.structs.replace(double.account, endpoint=road.url),
            azure.OURS,
            clock=_now,
            trust=double.trust,
            poll_s=0.05,
        )
        yield Seen(cloud, azure.batch, lambda: len(double.calls), road)


def _now() -> datetime:
    return datetime.now(UTC)

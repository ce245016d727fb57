"""What a cluster is likely to be made of, told before it is."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import msgspec
from fake_server import view

from shoal.client import price_list
from shoal.client.progress import PlainLines, Progress
from shoal.errors import NotFound
from shoal.wire.endpoints import Endpoint, OfferQuery
from shoal.wire.specs import Cloud, ClusterSpec, Hardware, Range, SpotPolicy
from shoal.wire.views import OfferList, OfferView


def offer(name: str, price: int | None) -> OfferView:
    return OfferView(
        "gcp", "us-east1", "us-east1-b", name, 4, 16 << 30, "x86_64", True, 0, "", price, None
    )


class Server:
    """Answers with offers, and remembers what was asked."""

    def __init__(self, *offers: OfferView) -> None:
        self.offers = offers
        self.asked: list[OfferQuery] = []

    async def call(self, endpoint: Endpoint, *, query: OfferQuery) -> Any:
        self.asked.append(query)
        if not self.offers:
            raise NotFound("no such cloud")
        return OfferList(self.offers)


def spec(**changes: object) -> ClusterSpec:
    worker = Hardware(cpu=Range(4, 4), memory_bytes=Range(12 << 30, 20 << 30))
    made = msgspec.structs.replace(view().spec, cloud=Cloud.GCP, worker=worker)
    return msgspec.structs.replace(made, **changes)


def head(server: Server, asked: ClusterSpec) -> tuple[str, ...]:
    return asyncio.run(price_list.head(server, asked))  # type: ignore[arg-type]


def test_the_cheapest_few_are_told_with_their_prices() -> None:
    server = Server(offer("e2-standard-4", 40_500), *(offer("other", None) for _ in range(5)))
    told = head(server, spec(spot_policy=SpotPolicy.SPOT))
    assert told[0] == "e2-standard-4 in us-east1-b, spot: $0.0405 an hour"
    assert told[1].endswith("price not known")
    assert len(told) == 3
    assert (server.asked[0].cpu, server.asked[0].spot) == (4, True)


def test_nothing_is_asked_for_this_machine_or_for_types_that_were_named() -> None:
    server = Server(offer("e2-standard-4", 1))
    assert head(server, spec(cloud=Cloud.LOCAL)) == ()
    assert head(server, spec(worker=Hardware(vm_types=("m5.large",)))) == ()
    assert server.asked == []


def test_a_server_that_cannot_tell_stands_in_nobodys_way() -> None:
    assert head(Server(), spec()) == ()


def test_it_is_shown_before_there_is_a_machine_and_then_no_more() -> None:
    out = io.StringIO()
    progress = Progress("mine", PlainLines(out))
    progress.offered(("e2-standard-4 in us-east1-b: $0.1340 an hour",))
    assert "likely e2-standard-4 in us-east1-b: $0.1340 an hour" in out.getvalue()
    progress.instances(())
    assert progress.snapshot.machines

"""What a cluster is likely to be made of, told before it is."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import msgspec
import pytest
from fake_server import view

from shoal.client import price_list
from shoal.client.progress import PlainLines, Progress
from shoal.errors import LimitExceeded, NotFound, NotPossible, ShoalError
from shoal.wire.endpoints import Endpoint
from shoal.wire.requests import PreviewCluster
from shoal.wire.specs import Cloud, ClusterSpec, Role
from shoal.wire.views import OfferView, Preview, PreviewRow


def offer(name: str, price: int | None, *, spot: bool = True) -> OfferView:
    return OfferView(
        "gcp", "us-east1", "us-east1-b", name, 4, 16 << 30, "x86_64", spot, 0, "", price, None
    )


SCHEDULER = PreviewRow(
    Role.SCHEDULER, 1, 1, (offer("n2-standard-2", 97_000, spot=False),), (5_000,)
)
WORKERS = PreviewRow(
    Role.WORKER, 4, 20, (offer("n2-standard-4", 40_500), *(offer("other", None),) * 5), (500,) * 6
)
FOUND = Preview((SCHEDULER, WORKERS), 266_000, 922_000)


class Server:
    """Answers with a preview or an error, and remembers what was asked."""

    def __init__(self, found: Preview | ShoalError) -> None:
        self.found = found

    async def call(self, endpoint: Endpoint, *, body: PreviewCluster) -> Any:
        if isinstance(self.found, ShoalError):
            raise self.found
        return self.found


def spec(**changes: object) -> ClusterSpec:
    return msgspec.structs.replace(view().spec, **({"cloud": Cloud.GCP} | changes))


def head(found: Preview | ShoalError, asked: ClusterSpec | None = None) -> price_list.Told:
    return asyncio.run(price_list.head(Server(found), asked or spec()))  # type: ignore[arg-type]


def test_each_role_is_told_with_its_best_machines_and_their_prices_with_disks() -> None:
    assert head(FOUND).table == (
        "scheduler n2-standard-2 in us-east1-b: $0.1020 an hour",
        "4 to 20 × worker n2-standard-4 in us-east1-b, spot: $0.0410 an hour",
        "or other in us-east1-b, spot: price not known",
        "or other in us-east1-b, spot: price not known",
        "together $0.2660 an hour, up to $0.9220",
    )


def test_this_machine_has_no_price_list_but_what_is_to_be_known_is_told() -> None:
    noted = msgspec.structs.replace(FOUND, notices=("80 % of the budget are spent.",))
    told = head(noted, spec(cloud=Cloud.LOCAL))
    assert told == price_list.Told((), ("80 % of the budget are spent.",))


def test_what_limits_do_not_allow_is_an_error_at_once() -> None:
    refused = msgspec.structs.replace(FOUND, refused="workers: 4 asked, …", hint="Ask for fewer.")
    with pytest.raises(LimitExceeded, match="4 asked"):
        head(refused, spec(cloud=Cloud.LOCAL))


def test_what_cannot_be_is_an_error_at_once() -> None:
    with pytest.raises(NotPossible):
        head(NotPossible("No machine fits."))


def test_a_server_that_cannot_tell_stands_in_nobodys_way() -> None:
    assert head(NotFound("no such endpoint")) == price_list.Told()


def test_a_total_of_unknown_prices_is_not_known() -> None:
    assert head(Preview((WORKERS,), None, None)).table[-1].startswith("together: not known")


def test_it_is_shown_before_there_is_a_machine_and_then_no_more() -> None:
    out = io.StringIO()
    progress = Progress("mine", PlainLines(out))
    progress.offered(("e2-standard-4 in us-east1-b: $0.1340 an hour",))
    assert "likely e2-standard-4 in us-east1-b: $0.1340 an hour" in out.getvalue()
    progress.instances(())
    assert progress.snapshot.machines

"""A public address is paid for by the VMs that have one: an account says which roles do."""

from __future__ import annotations

import msgspec
import pytest

from shoal.core import limits
from shoal.core.cost import extras_uusd_per_hour
from shoal.core.records import Offer
from shoal.server.providers import addressed
from shoal.wire.accounts import AwsAccount, AzureAccount, CloudAccount, GcpAccount
from shoal.wire.specs import Role
from tests.core.worlds import batch, offer, scheduler, worker

PRICED = offer(address_uusd_per_hour=5_000)


def paid(offered: Offer, role: Role) -> int:
    it = scheduler() if role is Role.SCHEDULER else worker(2)
    return extras_uusd_per_hour(batch(1, [it], offers=(offered,)))


@pytest.mark.parametrize(
    ("account", "head", "each"),
    [
        (GcpAccount("p", "r1"), 5_000, 5_000),
        (GcpAccount("p", "r1", public_workers=False), 5_000, 0),
        (AwsAccount("1", "r1", public_scheduler=False), 0, 5_000),
        (AwsAccount("1", "r1", public_scheduler=False, public_workers=False), 0, 0),
        (AzureAccount("s", "r1", public_scheduler=False), 5_000, 5_000),
        (AzureAccount("s", "r1", public_scheduler=False, public_workers=False), 0, 0),
    ],
)
def test_only_roles_with_a_public_address_pay_for_one(
    account: CloudAccount, head: int, each: int
) -> None:
    offered = addressed(PRICED, account)
    assert (paid(offered, Role.SCHEDULER), paid(offered, Role.WORKER)) == (head, each)
    alone = 200_000
    assert limits.unit((offered,), 30, Role.WORKER).uusd_per_hour == alone + each


def test_an_address_of_unknown_price_stays_unknown() -> None:
    unknown = msgspec.structs.replace(PRICED, address_uusd_per_hour=None)
    assert addressed(unknown, GcpAccount("p", "r1", public_workers=False)) == unknown

"""What every provider must do, held against each of them with the same assertions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.clouds.provider import Launched, NoCapacity
from shoal.core.records import Batch, Vm
from shoal.wire.ids import ClusterId, batch_id, instance_id
from shoal.wire.specs import Role
from tests.contract.accounts import FEW, OURS, THEIRS, Account, Aws, Azure, Gcp, Local, Sim

CLUSTER = ClusterId("c-contract00")


_AWS = pytest.param("aws", marks=pytest.mark.long)  # its double takes longest


@pytest.fixture(params=["sim", "sim-unnamed", "local", "gcp", _AWS, "azure"])
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Account]:
    """An account, and after the test a ledger without any VM."""
    made: Account
    match request.param:
        case "local":
            made = Local(tmp_path)
        case "azure":
            made = Azure(tmp_path)
        case "gcp":
            made = Gcp()
        case "aws":
            made = Aws()
        case named:
            made = Sim(named=named == "sim")
    yield made
    for installation in (OURS, THEIRS):
        provider = made.provider(installation)
        asyncio.run(provider.terminate(asyncio.run(provider.list())))
    made.settle()
    for installation in (OURS, THEIRS):
        assert list(asyncio.run(made.provider(installation).list())) == []
    assert made.left() == ""


def a_batch(account: Account, count: int, number: int = 1, first: int = 1) -> Batch:
    offer = account.choose(asyncio.run(account.provider().offers(None)))
    id = batch_id(CLUSTER, number)
    return Batch(
        id=id,
        cluster=CLUSTER,
        role=Role.WORKER,
        count=count,
        offers=(offer,),
        instances=tuple(instance_id(CLUSTER, n) for n in range(first, first + count)),
        cluster_created_at=account.now(),
        head_address="127.0.0.1:1",
        image="",
        disk_gib=0,
        tags=(("shoal-batch", id),),
        lifetime_s=0.0,
        created_at=account.now(),
    )


def launch(account: Account, batch: Batch) -> Launched:
    return asyncio.run(account.provider().launch(batch, account.boot_text))


def listed(account: Account) -> list[Vm]:
    account.settle()
    return list(asyncio.run(account.provider().list()))


def test_offers_are_whole_and_priced_or_unknown(account: Account) -> None:
    offers = asyncio.run(account.provider().offers(None))
    assert offers
    for it in offers:
        assert it.cloud is account.provider().cloud
        assert it.vcpu > 0
        assert it.memory_bytes > 0
        assert it.machine_type
        assert it.zone
        assert it.price_uusd_per_hour is None or it.price_uusd_per_hour > 0


def test_what_is_launched_is_listed_with_its_tags(account: Account) -> None:
    batch = a_batch(account, 2)
    accepted = launch(account, batch).vms
    found = listed(account)
    assert {it.id for it in found} == {it.id for it in accepted}
    assert len(found) == 2
    assert {(it.batch, it.cluster, it.running) for it in found} == {(batch.id, CLUSTER, True)}
    assert {it.name for it in found} in ({""}, set(batch.instances))
    assert len({it.address for it in found}) == 2


def test_a_repeated_launch_makes_nothing_more(account: Account) -> None:
    batch = a_batch(account, 2)
    first = launch(account, batch)
    assert {it.id for it in launch(account, batch).vms} == {it.id for it in first.vms}
    assert len(listed(account)) == 2


def test_a_repeated_launch_does_not_raise_the_ended(account: Account) -> None:
    batch = a_batch(account, 2)
    first = launch(account, batch)
    asyncio.run(account.provider().terminate(first.vms))
    assert listed(account) == []
    launch(account, batch)
    assert listed(account) == []


def test_ended_vms_are_not_listed_any_more(account: Account) -> None:
    one, other = launch(account, a_batch(account, 2)).vms
    asyncio.run(account.provider().terminate([one]))
    assert [it.id for it in listed(account)] == [other.id]


def test_ending_what_is_absent_is_success(account: Account) -> None:
    vms = launch(account, a_batch(account, 1)).vms
    for _ in range(2):
        asyncio.run(account.provider().terminate(vms))
        assert listed(account) == []


def test_a_partial_launch_says_why(account: Account) -> None:
    told = launch(account, a_batch(account, FEW + 2))
    missing = sum(it.count for it in told.shortfalls)
    assert 0 < len(told.vms) <= FEW
    assert len(told.vms) + missing == FEW + 2
    assert {type(it.error) for it in told.shortfalls} == {NoCapacity}
    assert len(listed(account)) == len(told.vms)


def test_no_capacity_at_all_is_an_error_with_its_scope(account: Account) -> None:
    full = launch(account, a_batch(account, FEW + 2))
    batch = a_batch(account, 1, number=2, first=100)
    with pytest.raises(NoCapacity) as told:
        launch(account, batch)
    assert told.value.scope.machine_type in ("*", batch.offers[0].machine_type)
    assert len(listed(account)) == len(full.vms)


def test_another_installations_vms_are_neither_listed_nor_ended(account: Account) -> None:
    vms = launch(account, a_batch(account, 1)).vms
    theirs = account.provider(THEIRS)
    assert list(asyncio.run(theirs.list())) == []
    assert [it.id for it in listed(account)] == [it.id for it in vms]

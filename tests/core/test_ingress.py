from __future__ import annotations

import msgspec
import pytest

from shoal.core.actions import Intend
from shoal.core.ingress import PRIVATE, settled
from shoal.errors import InvalidRequest
from shoal.wire.specs import Role
from tests.core.worlds import cluster, planned, scheduler, world

ME, SERVER = ("203.0.113.7/32",), ("198.51.100.9/32",)


def test_me_is_the_session_and_the_server() -> None:
    found = settled("me", session=ME, server=SERVER, public=True)
    assert found == ("198.51.100.9/32", "203.0.113.7/32")


def test_a_named_network_lets_the_server_in_too() -> None:
    found = settled("192.0.2.77/24", session=(), server=SERVER, public=True)
    assert found == ("192.0.2.0/24", "198.51.100.9/32")


def test_everyone_is_everyone() -> None:
    assert settled("everyone", session=(), server=(), public=True) == ("0.0.0.0/0",)


def test_me_without_a_public_address_is_whoever_is_on_a_private_network() -> None:
    assert settled("me", session=(), server=(), public=False) == PRIVATE


@pytest.mark.parametrize(
    ("allowed", "session"), [("me", ()), ("me", ("2001:db8::1/128",)), ("all of us", ME)]
)
def test_what_nobody_can_be_let_in_by_is_refused(allowed: str, session: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settled(allowed, session=session, server=(), public=True)
    assert "allow_ingress_from" in caught.value.hint


def test_only_the_head_is_reached_from_outside() -> None:
    asked = cluster(2)
    asked = msgspec.structs.replace(asked, spec=msgspec.structs.replace(asked.spec, ingress=ME))
    [head] = planned(world(asked), Intend)
    [workers] = planned(world(asked, scheduler()), Intend)
    assert (head.batch.role, head.batch.ingress) == (Role.SCHEDULER, ME)
    assert (workers.batch.role, workers.batch.ingress) == (Role.WORKER, ())

"""What an agent does next: by table, and that it gets there whatever happens on the way."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.agent.asked import Asked
from shoal.agent.messages import ConfigureWorker
from shoal.agent.next_step import (
    Child,
    GiveWay,
    Prepare,
    Rest,
    Seen,
    SendConfiguration,
    Spawn,
    Step,
    StopChild,
    Wait,
    next_step,
)
from shoal.wire.environments import Manifest
from shoal.wire.ids import EnvironmentId, InstanceId

OLD, NEW = EnvironmentId("env-old"), EnvironmentId("env-new")
HERE = ConfigureWorker("tls://here", InstanceId("w"), "h", 1, 0, "/d", {}, "distributed.Worker", {})
THERE = msgspec.structs.replace(HERE, scheduler="tls://there")


def asked(
    environment: EnvironmentId = NEW,
    configuration: ConfigureWorker | None = HERE,
    *,
    follows: bool = True,
    retire: bool = False,
) -> Asked:
    manifest = Manifest(environment, "", "3.11", "here")
    return Asked(manifest, {}, configuration, follows, Path("python"), retire)


UP, OLD_UP = Child(NEW, HERE), Child(OLD, HERE)


@pytest.mark.parametrize(
    ("wish", "seen", "step"),
    [
        (None, Seen(0.0), Wait()),
        (asked(), Seen(0.0), Prepare()),
        (asked(), Seen(0.0, preparing=True), Wait()),
        (asked(), Seen(0.0, broken=NEW), Wait()),
        (asked(), Seen(0.0, broken=OLD), Prepare()),
        # what may pass is tried again in time, while the old one goes on; a new VM is replaced
        (asked(), Seen(5.0, prepared=OLD, broken=NEW, child=OLD_UP), Wait()),
        (asked(), Seen(5.0, prepared=OLD, broken=NEW, again_at_s=9.0, child=OLD_UP), Wait(9.0)),
        (asked(), Seen(9.0, prepared=OLD, broken=NEW, again_at_s=9.0, child=OLD_UP), Prepare()),
        (asked(), Seen(5.0, prepared=OLD, broken=NEW, again_at_s=9.0), Spawn()),
        (asked(), Seen(9.0, broken=NEW, again_at_s=9.0), Wait()),
        (asked(), Seen(0.0, prepared=NEW), Spawn()),
        (asked(configuration=None), Seen(0.0, prepared=NEW), Spawn()),
        (asked(configuration=None), Seen(0.0, prepared=NEW, child=Child(NEW)), Wait()),
        (asked(), Seen(0.0, prepared=NEW, child=Child(NEW)), SendConfiguration(HERE)),
        (asked(), Seen(0.0, prepared=NEW, child=UP), Wait()),
        (asked(), Seen(0.0, prepared=NEW, restart_at_s=3.0), Wait(3.0)),
        (asked(), Seen(4.0, prepared=NEW, restart_at_s=3.0), Spawn()),
        (asked(), Seen(9.0, prepared=NEW, gave_up=True), Wait()),
        # another environment: it is made while the old one still runs
        (asked(), Seen(0.0, prepared=OLD, child=Child(OLD, HERE)), Prepare()),
        (asked(), Seen(0.0, prepared=OLD, child=Child(OLD, HERE), preparing=True), Wait()),
        (asked(), Seen(0.0, prepared=OLD, child=Child(OLD, HERE), broken=NEW), Wait()),
        (asked(), Seen(0.0, prepared=NEW, child=Child(OLD, HERE)), GiveWay()),
        (asked(), Seen(0.0, prepared=NEW, child=Child(OLD, HERE, stopping=True)), Wait()),
        (asked(), Seen(0.0, prepared=OLD, broken=NEW), Spawn()),
        (asked(), Seen(0.0, prepared=OLD, broken=NEW, child=Child(OLD)), SendConfiguration(HERE)),
        (asked(follows=False), Seen(0.0, prepared=OLD, child=Child(OLD, HERE)), Wait()),
        (asked(follows=False), Seen(0.0, prepared=OLD), Prepare()),
        # retired
        (asked(retire=True), Seen(0.0), Rest()),
        (asked(retire=True), Seen(0.0, preparing=True), Rest()),
        (asked(retire=True), Seen(0.0, prepared=NEW, child=UP), Wait()),
        (asked(retire=True), Seen(0.0, prepared=OLD, child=Child(OLD, HERE)), Wait()),
    ],
)
def test_the_next_step(wish: Asked | None, seen: Seen, step: Step) -> None:
    assert next_step(wish, seen) == step


@pytest.mark.parametrize(
    ("wish", "child"),
    [
        (asked(), Child(OLD)),
        (asked(configuration=THERE), UP),
        (asked(retire=True), Child(NEW)),
    ],
)
def test_a_child_that_is_not_what_is_asked_is_stopped_once(wish: Asked, child: Child) -> None:
    seen = Seen(0.0, prepared=NEW, child=child)
    assert isinstance(next_step(wish, seen), StopChild)
    stopping = msgspec.structs.replace(child, stopping=True)
    assert next_step(wish, msgspec.structs.replace(seen, child=stopping)) == Wait()


def perform(step: Step, seen: Seen, wish: Asked) -> Seen:
    """The world after a step that went well."""
    change = msgspec.structs.replace
    match step:
        case Prepare():
            return change(seen, prepared=wish.manifest.id)
        case Spawn():
            assert seen.child is None  # never two at a time
            return change(seen, child=Child(wish.manifest.id))
        case SendConfiguration(configuration):
            assert seen.child is not None
            return change(seen, child=change(seen.child, configured=configuration))
        case StopChild() | GiveWay():
            return change(seen, child=None)
        case Wait(until_s):
            assert until_s is not None
            return change(seen, now_s=until_s)
        case Rest():
            return seen
    raise AssertionError(step)


environments = st.sampled_from([OLD, NEW])
children = st.none() | st.builds(
    Child, environments, st.sampled_from([None, HERE, THERE]), st.just(value=False)
)
worlds = st.builds(
    Seen,
    now_s=st.just(0.0),
    prepared=st.none() | environments,
    child=children,
    restart_at_s=st.sampled_from([0.0, 5.0]),
)
wishes = st.builds(asked, environments, st.sampled_from([HERE, THERE]))


@given(wishes, worlds)
def test_liveness_from_any_state_the_worker_asked_for_comes_to_run(wish: Asked, seen: Seen) -> None:
    for _ in range(8):
        step = next_step(wish, seen)
        if step == Wait():
            break
        seen = perform(step, seen, wish)
    assert seen.child == Child(wish.manifest.id, wish.configuration)

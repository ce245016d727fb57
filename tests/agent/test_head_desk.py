"""What the head tells whom, and when; on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path

import looptime
import msgspec
import pytest
from rig import CLUSTER, KEY

from shoal.agent.clock import Clock
from shoal.agent.head_desk import SAMPLES_EVERY_S, HeadDesk
from shoal.agent.messages import Serving
from shoal.agent.vm import from_environment
from shoal.errors import NotAllowed
from shoal.trust import authority, joining
from shoal.wire.environments import Manifest
from shoal.wire.ids import EnvironmentId, InstanceId, instance_id
from shoal.wire.reports import JoinRequest, Orders, VmReport, WorkerBeat
from shoal.wire.specs import DaskOptions, Role, StopRules
from shoal.wire.views import LogLine, Stage

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ONE, TWO = instance_id(CLUSTER, 1), instance_id(CLUSTER, 2)
SERVING = Serving("tls://127.1.2.3:8786", clients=1)


class LoopClock(Clock):
    """Monotonic time is the loop's, which is virtual."""

    def monotonic_s(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return 0.0

    def now(self) -> datetime:
        return AT


def desk_in(directory: Path) -> HeadDesk:
    vm = from_environment(
        {
            "SHOAL_VM_NAME": instance_id(CLUSTER, 0),
            "SHOAL_VM_DIR": str(directory),
            "SHOAL_VM_ADDRESS": "127.1.2.3:8788",
            "SHOAL_VM_CPUS": "1",
            "SHOAL_VM_MEMORY_BYTES": "0",
        }
    )
    identity = authority.head_identity(KEY, CLUSTER, AT)
    return HeadDesk(CLUSTER, identity, authority.join_secret(KEY, CLUSTER), vm, LoopClock())


@pytest.fixture
def desk(tmp_path: Path) -> HeadDesk:
    return desk_in(tmp_path)


def orders(version: int = 1, **changes: object) -> Orders:
    manifest = Manifest(EnvironmentId("env-first"), "", "3.11", "here")
    made = Orders(version, CLUSTER, manifest, DaskOptions(), StopRules(), 0, 9, AT)
    return msgspec.structs.replace(made, **changes)


def beat(
    instance: InstanceId = ONE, stage: Stage = Stage.READY, memory_bytes: int = 0
) -> WorkerBeat:
    return WorkerBeat(VmReport(instance, Role.WORKER, stage, AT, memory_bytes=memory_bytes))


def on_virtual_time(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    loop = looptime.new_event_loop(start=0)
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.close()


def test_only_the_worker_that_is_to_leave_is_told_so(desk: HeadDesk) -> None:
    posts = {name: desk.post(name) for name in (ONE, TWO)}
    desk.take(orders(1))
    before = {name: post.version for name, post in posts.items()}
    desk.take(orders(2, retire=(TWO,)))
    assert posts[ONE].version == before[ONE]
    assert posts[TWO].version > before[TWO]
    assert posts[TWO].content is not None
    assert posts[TWO].content.retire


def test_workers_learn_where_the_scheduler_is_when_it_serves(desk: HeadDesk) -> None:
    desk.take(orders())
    post = desk.post(ONE)
    assert post.content is not None
    assert post.content.scheduler_address == ""
    desk.scheduler(SERVING)
    assert post.content.scheduler_address == SERVING.address
    version = post.version
    desk.scheduler(msgspec.structs.replace(SERVING, tasks=7))
    assert post.version == version  # that is no news for a worker


def test_orders_that_were_under_way_for_too_long_are_ignored(desk: HeadDesk) -> None:
    desk.take(orders(5, retire=(ONE,)))
    desk.take(orders(4))
    assert desk.orders == orders(5, retire=(ONE,))


def test_a_restarted_agent_goes_on_with_the_orders_it_had(tmp_path: Path) -> None:
    desk_in(tmp_path).take(orders(5))
    again = desk_in(tmp_path)
    again.recall()
    assert again.orders == orders(5)


@pytest.mark.parametrize("text", [b"", b"{", msgspec.json.encode(orders(5, stop="ended"))])
def test_orders_that_cannot_be_followed_are_not_recalled(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "orders.json").write_bytes(text)
    desk = desk_in(tmp_path)
    desk.recall()
    assert desk.orders is None


def test_a_worker_joins_with_the_secret_and_gets_its_orders(desk: HeadDesk) -> None:
    desk.take(orders())
    made = joining.new_request(ONE, CLUSTER)
    secret = authority.join_secret(KEY, CLUSTER).text
    answer = desk.join(JoinRequest(ONE, secret, made.csr_pem))
    assert answer.orders is not None
    assert answer.certificate_pem.count("BEGIN CERTIFICATE") == 2
    with pytest.raises(NotAllowed):
        desk.join(JoinRequest(ONE, "guessed", made.csr_pem))


def test_a_waiting_reader_hears_of_a_stage_at_once_and_of_samples_later(desk: HeadDesk) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        desk.beat(beat(memory_bytes=1))
        cursor = desk.book.cursor

        async def waits() -> float:
            began = loop.time()
            await desk.worth_telling(cursor, 20.0)
            return loop.time() - began

        waiting = asyncio.create_task(waits())
        await asyncio.sleep(1.0)
        desk.beat(beat(stage=Stage.DRAINING))
        assert await waiting == pytest.approx(1.0, abs=0.1)

        cursor = desk.book.cursor
        waiting = asyncio.create_task(waits())
        await asyncio.sleep(1.0)
        desk.beat(beat(stage=Stage.DRAINING, memory_bytes=2))
        assert await waiting == pytest.approx(SAMPLES_EVERY_S, abs=0.1)

        cursor = desk.book.cursor
        assert await waits() == pytest.approx(20.0, abs=0.1)

    on_virtual_time(scenario)


def test_a_reader_cannot_make_the_head_answer_all_the_time(desk: HeadDesk) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        answers, began = 0, loop.time()
        while loop.time() - began < 10.0:
            cursor = desk.book.cursor
            desk.beat(WorkerBeat(beat().vm, (LogLine(AT, ONE, "worker", "on and on"),)))
            await desk.worth_telling(cursor, 20.0)
            answers += 1
        assert answers <= 10.0 / 0.04 + 1

    on_virtual_time(scenario)


def test_all_workers_are_told_to_stop_and_the_head_knows_who_was_not_reached(
    desk: HeadDesk,
) -> None:
    desk.take(orders())
    posts = {name: desk.post(name) for name in (ONE, TWO)}
    for post in posts.values():
        desk.given(post)
    assert desk.untold() == 0
    desk.stop_workers("the test is over")
    assert desk.untold() == 2
    told = desk.given(posts[ONE])
    assert told is not None
    assert told.stop == "the test is over"
    assert desk.untold() == 1


def test_a_worker_that_the_cloud_takes_back_is_let_go_at_once(desk: HeadDesk) -> None:
    desk.take(orders())
    before = desk.post(ONE).version
    rung = desk.ordered.count
    report = VmReport(ONE, Role.WORKER, Stage.READY, AT, notice="AWS will terminate this VM")
    desk.beat(WorkerBeat(report))
    assert desk.ordered.count == rung + 1
    assert list(desk.taken_back) == [ONE]
    post = desk.post(ONE)
    assert post.version != before
    assert post.content is not None
    assert post.content.retire
    assert not desk.post(TWO).content.retire
    desk.beat(WorkerBeat(report))
    assert desk.ordered.count == rung + 1

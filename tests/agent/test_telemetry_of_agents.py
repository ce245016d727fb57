"""Telemetry at the agents: bounded, counted, complete; told once to whoever has read so far."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psutil
import pytest
from rig import CLUSTER
from test_head_desk import ONE, TWO, desk_in

from shoal.agent.clock import Clock
from shoal.agent.head_desk import HeadDesk
from shoal.agent.host import Counters, Gpu, HostSampler, Levels, gpus_from
from shoal.agent.kernel_log import KernelLog
from shoal.agent.losses import WAIT_S, Losses
from shoal.agent.messages import Telemetry
from shoal.agent.report_book import ITEMS_A_REPORT, ReportBook
from shoal.agent.sample_box import MOST_ITEMS, SampleBox
from shoal.agent.telemetry_book import TelemetryBook
from shoal.agent.vm import Vm
from shoal.wire.ids import InstanceId
from shoal.wire.reports import VmReport, WorkerBeat
from shoal.wire.specs import Role
from shoal.wire.telemetry import (
    Computation,
    HostSample,
    Item,
    Loss,
    SchedulerSample,
    WorkerEvent,
    WorkerUse,
)
from shoal.wire.views import Stage

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def lost(reason: Loss, *, worker: str = ONE, **changes: object) -> WorkerEvent:
    event = WorkerEvent(AT, worker, "tls://10.0.0.2:9", added=False, reason=reason)
    return msgspec.structs.replace(event, **changes)


VANISHED = lost(Loss.CONNECTION, tasks_lost=3, threads=4)
KILLED = lost(Loss.MEMORY, detail="killed by the kernel for memory")


# -- the reason of a loss -------------------------------------------------------------------------


@pytest.mark.parametrize("first_is_scheduler", [True, False])
def test_the_agents_reason_and_the_schedulers_numbers_make_one_loss(
    first_is_scheduler: bool,
) -> None:
    losses = Losses()
    first, second = (VANISHED, KILLED) if first_is_scheduler else (KILLED, VANISHED)
    assert losses.hear(first, 10.0) == []
    [told] = losses.hear(second, 10.4)
    assert (told.reason, told.detail) == (Loss.MEMORY, KILLED.detail)
    assert (told.tasks_lost, told.threads) == (3, 4)
    assert losses.overdue(99.0) == []


def test_a_worker_whose_machine_vanished_is_told_after_a_moment() -> None:
    losses = Losses()
    losses.hear(VANISHED, 10.0)
    assert losses.overdue(10.0 + WAIT_S - 0.01) == []
    assert losses.overdue(10.0 + WAIT_S) == [VANISHED]
    assert losses.overdue(10.0 + 2 * WAIT_S) == []
    assert losses.hear(KILLED, 12.0) == []  # too late: it has been told


def test_a_retired_worker_is_told_at_once() -> None:
    assert Losses().hear(lost(Loss.RETIRED), 10.0) == [lost(Loss.RETIRED)]


def test_a_worker_that_is_lost_again_is_told_again() -> None:
    losses = Losses()
    losses.hear(VANISHED, 10.0)
    losses.overdue(12.0)
    losses.came(ONE)
    losses.hear(VANISHED, 13.0)
    assert losses.overdue(15.0) == [VANISHED]


# -- books and boxes ------------------------------------------------------------------------------


def a_computation(id: str, done: int) -> Computation:
    return Computation(id, AT, tasks=10, done=done)


def test_of_a_standing_item_only_the_newest_is_told() -> None:
    book = ReportBook(CLUSTER, AT)
    for done in range(5):
        book.record(a_computation("k-1", done))
    book.record(SchedulerSample(AT))
    told = [it.item for it in book.since(0, 1, ()).telemetry]
    assert told == [a_computation("k-1", 4), SchedulerSample(AT)]


def test_a_long_record_is_told_in_parts_none_twice() -> None:
    book = ReportBook(CLUSTER, AT)
    samples = [SchedulerSample(AT + timedelta(seconds=n)) for n in range(ITEMS_A_REPORT + 10)]
    for it in samples:
        book.record(it)
    first = book.since(0, 1, ())
    assert first.cursor < book.cursor
    second = book.since(first.cursor, 1, ())
    assert second.cursor == book.cursor
    assert [it.item for it in (*first.telemetry, *second.telemetry)] == samples


def test_telemetry_that_nobody_fetched_goes_the_oldest_first() -> None:
    book = ReportBook(CLUSTER, AT, TelemetryBook(most_standing=2, most_moments=3))
    for number in range(5):
        book.record(SchedulerSample(AT, workers=number))
        book.record(a_computation(f"k-{number}", 0))
    report = book.since(0, 1, ())
    assert report.telemetry_dropped == 2 + 3
    assert len(report.telemetry) == 3 + 2
    assert book.since(report.cursor, 1, ()).telemetry_dropped == 0


def test_what_was_lost_before_it_came_here_is_told_too() -> None:
    book = ReportBook(CLUSTER, AT)
    book.unrecorded(7)
    assert book.since(0, 1, ()).telemetry_dropped == 7


def test_samples_wait_for_the_head_but_not_for_ever() -> None:
    box = SampleBox()
    for number in range(MOST_ITEMS + 5):
        box.put(HostSample(AT, ONE, cpus=number))
    assert not box.urgent
    taken, dropped = box.take()
    assert (taken[0], dropped) == (HostSample(AT, ONE, cpus=5), 5)
    box.put(KILLED)
    assert box.urgent
    box.give_back(taken, dropped)
    assert box.take()[1] == 6


# -- the head's desk ------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> HeadDesk:
    return desk_in(tmp_path)


def told(desk: HeadDesk) -> list[Item]:
    return [it.item for it in desk.report(0).telemetry]


def a_beat(*items: Item) -> WorkerBeat:
    return WorkerBeat(VmReport(ONE, Role.WORKER, Stage.READY, AT), telemetry=items)


def test_a_hosts_sample_has_what_the_scheduler_knows_of_it(desk: HeadDesk) -> None:
    desk.recorded(Telemetry(uses={ONE: WorkerUse(managed_bytes=7, processing=2)}))
    desk.beat(a_beat(HostSample(AT, ONE, cpus=4)))
    desk.record([HostSample(AT, TWO, cpus=4)])
    assert told(desk) == [
        HostSample(AT, ONE, cpus=4, managed_bytes=7, processing=2),
        HostSample(AT, TWO, cpus=4),
    ]


def test_of_many_hosts_each_is_recorded_less_often(desk: HeadDesk) -> None:
    names = [InstanceId(f"shoal-c-{n}") for n in range(400)]
    for _ in range(3):
        desk.record(HostSample(AT, it) for it in names)  # at one moment
    assert len(told(desk)) == 400


def test_a_loss_is_told_once_though_two_tell_of_it(desk: HeadDesk) -> None:
    desk.recorded(Telemetry((VANISHED,)))
    assert told(desk) == []
    desk.beat(a_beat(KILLED))
    [event] = told(desk)
    assert isinstance(event, WorkerEvent)
    assert (event.reason, event.tasks_lost) == (Loss.MEMORY, 3)


def test_what_was_dropped_in_the_scheduler_is_counted(desk: HeadDesk) -> None:
    desk.recorded(Telemetry(dropped=3))
    assert desk.report(0).telemetry_dropped == 3


# -- hosts ----------------------------------------------------------------------------------------


class Stepping(Clock):
    seconds = 0.0

    def monotonic_s(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return AT


def a_vm(directory: Path, *, whole_machine: bool = True) -> Vm:
    return Vm(ONE, directory, "h", 1, 4, 2**30, directory, whole_machine)


def test_a_sample_is_what_was_used_since_the_last(tmp_path: Path) -> None:
    counters = iter(
        [
            Counters(user_s=100.0, disk_read=1000),
            Counters(user_s=110.0, system_s=2.0, iowait_s=1.0, disk_read=6000, net_in=50),
            Counters(user_s=0.0),  # began anew
        ]
    )
    clock = Stepping()
    sampler = HostSampler(
        a_vm(tmp_path),
        clock,
        counters=lambda: next(counters),
        levels=lambda: Levels(3, 9, 5, 8),
        gpu=lambda: Gpu(50.0, 1, 2),
    )
    clock.seconds = 5.0
    first = sampler.sample()
    cpu = (first.cpu_user_percent, first.cpu_system_percent, first.cpu_iowait_percent)
    assert cpu == (50.0, 10.0, 5.0)  # of four CPUs
    assert (first.disk_read_bps, first.net_in_bps) == (1000, 10)
    assert (first.memory_used_bytes, first.memory_limit_bytes) == (3, 9)
    assert (first.disk_used_bytes, first.disk_total_bytes, first.gpu_percent) == (5, 8, 50.0)
    clock.seconds = 10.0
    assert sampler.sample().cpu_user_percent == 0.0


@pytest.mark.parametrize("whole_machine", [True, False])
def test_this_machine_can_be_sampled(tmp_path: Path, whole_machine: bool) -> None:
    sampler = HostSampler(a_vm(tmp_path, whole_machine=whole_machine), Clock())
    sum(n * n for n in range(200_000))
    found = sampler.sample()
    assert found.memory_used_bytes > 10 * 2**20
    assert found.disk_total_bytes > 0
    if not whole_machine:
        assert found.memory_used_bytes < psutil.virtual_memory().total
        assert found.memory_limit_bytes == 2**30


def test_gpus_are_summed_and_what_they_do_not_tell_is_nothing() -> None:
    assert gpus_from("40, 1000, 81559\n60, 24, 81559\n") == Gpu(50.0, 1024 << 20, 163118 << 20)
    assert gpus_from("[N/A], 5, 10\n") == Gpu(0.0, 5 << 20, 10 << 20)
    assert gpus_from("") == Gpu()


# -- the kernel -----------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="pipes of packets are Linux's")
def test_what_the_kernel_says_of_memory_is_told_and_nothing_else() -> None:
    reading, writing = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
    log = KernelLog(reading)
    assert list(log.news()) == []
    killed = "Out of memory: Killed process 812 (python) total-vm:9 kB, anon-rss:8 kB"
    for record in ("6,1,5,-;usb 1-1: new device", f"3,2,6,-;{killed}\n SUBSYSTEM=mm", "rubbish"):
        os.write(writing, record.encode())
    assert list(log.news()) == [killed]
    os.close(writing)
    assert list(log.news()) == []
    os.close(reading)

"""What the agents on the sim cloud's VMs would say: a head's report as a function of time.

No process runs. From how long a VM has existed follows what its agent says; from when it was asked
to leave follows when it is drained. The caller hands the report to the store, as the server does
with one that came over the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from shoal.clouds.sim_account import SimAccount, SimVm
from shoal.clouds.sim_knobs import Knobs
from shoal.core.records import Instance
from shoal.wire.boot import SCHEDULER_PORT
from shoal.wire.ids import ClusterId
from shoal.wire.reports import HeadReport, SchedulerReport, VmReport
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState, Stage


class Demand(msgspec.Struct, frozen=True):
    """From `after_s` on (since the head was ready) Dask has work for `workers`."""

    after_s: float
    workers: int


def head_report(
    account: SimAccount,
    cluster: ClusterId,
    instances: Iterable[Instance],
    now: datetime,
    demand: tuple[Demand, ...] = (),
) -> HeadReport | None:
    """None while the head's VM does not run or its agent does not speak."""
    account.advance(now)
    known = [it for it in instances if it.state is InstanceState.LAUNCHED and it.vm in account.vms]
    running = [
        (it, vm)
        for it in known
        if not (vm := account.vms[it.vm]).ending(now) and _speaks(account, vm, now)
    ]
    head = next(((it, vm) for it, vm in running if it.role is Role.SCHEDULER), None)
    if head is None:
        return None
    scheduler = _report(account.knobs, *head, now)
    vms = [scheduler] + [
        _report(account.knobs, it, vm, now) for it, vm in running if it.role is Role.WORKER
    ]
    return HeadReport(
        cluster=cluster,
        head_started_at=_spoken_at(account.knobs, head[1]),
        cursor=1,
        vms=tuple(vms),
        scheduler=_scheduler(scheduler, vms, now, demand),
    )


def _scheduler(
    head: VmReport, vms: list[VmReport], now: datetime, demand: tuple[Demand, ...]
) -> SchedulerReport | None:
    if head.stage is not Stage.READY:
        return None
    ready = [it for it in vms if it.role is Role.WORKER and it.stage is Stage.READY]
    asked = [it for it in demand if it.after_s <= (now - head.since).total_seconds()]
    return SchedulerReport(
        address=head.dask_address,
        clients=1,
        workers=len(ready),
        adaptive_target=asked[-1].workers if asked else None,
        closable=tuple(it.instance for it in reversed(ready)),
    )


def _report(knobs: Knobs, it: Instance, vm: SimVm, now: datetime) -> VmReport:
    stage, since = _stage(knobs, it, vm, now)
    host = vm.address.rpartition(":")[0]
    port = SCHEDULER_PORT if it.role is Role.SCHEDULER else 40_000
    return VmReport(
        instance=it.id,
        role=it.role,
        stage=stage,
        since=since,
        heard_at=now,
        dask_address=f"tls://{host}:{port}" if stage is Stage.READY else "",
        failure=vm.fate.failure if stage is Stage.FAILED else "",
    )


def _stage(knobs: Knobs, it: Instance, vm: SimVm, now: datetime) -> tuple[Stage, datetime]:
    spoken_at = _spoken_at(knobs, vm)
    ready_at = spoken_at + timedelta(seconds=knobs.prepare_s)
    if now < ready_at:
        return Stage.PREPARING, spoken_at
    if vm.fate.failure:
        return Stage.FAILED, ready_at
    if it.retiring_since is None:
        return Stage.READY, ready_at
    drained_at = it.retiring_since + timedelta(seconds=knobs.drain_s)
    if now < drained_at:
        return Stage.DRAINING, it.retiring_since
    return Stage.DRAINED, drained_at


def _speaks(account: SimAccount, vm: SimVm, now: datetime) -> bool:
    return vm.fate.boots and now >= _spoken_at(account.knobs, vm)


def _spoken_at(knobs: Knobs, vm: SimVm) -> datetime:
    return vm.created_at + timedelta(seconds=knobs.boot_s + vm.fate.slower_s)

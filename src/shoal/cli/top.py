"""`shoal cluster top`: a cluster's VMs and what they use, live."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import click

from shoal.cli import output
from shoal.wire.telemetry import HostList, HostSample, SchedulerSample, SchedulerSeries, SignalList
from shoal.wire.views import ClusterView

if TYPE_CHECKING:
    from shoal.client.api import Api

_EVERY_S = 2.0
_CLEAR = "\x1b[2J\x1b[H"


class Seen(NamedTuple):
    view: ClusterView
    newest: SchedulerSample | None
    hosts: tuple[HostSample, ...]
    signals: SignalList


def run(cluster: str, *, once: bool, as_json: bool, order: str) -> None:
    from shoal.cli import session

    async def work(api: Api) -> None:
        while True:
            seen = await _look(api, cluster)
            if as_json:
                output.json_line({"cluster": seen.view, "sample": seen.newest, "hosts": seen.hosts})
            else:
                if not once:
                    click.echo(_CLEAR, nl=False)
                _show(seen, order)
            if once or seen.view.ended_at is not None:
                return
            await asyncio.sleep(_EVERY_S)

    session.talk(work)


async def _look(api: Api, cluster: str) -> Seen:
    from shoal.wire import endpoints

    view: ClusterView = await api.call(endpoints.CLUSTER, path={"cluster": cluster})
    path = {"cluster": view.id}
    series: SchedulerSeries
    hosts: HostList
    signals: SignalList
    series, hosts, signals = await asyncio.gather(
        api.call(endpoints.METRICS, path=path, query=endpoints.SeriesQuery()),
        api.call(endpoints.HOSTS, path=path),
        api.call(endpoints.SIGNALS, query=endpoints.SignalQuery(cluster=view.id)),
    )
    return Seen(view, series.samples[-1] if series.samples else None, hosts.hosts, signals)


def _show(seen: Seen, order: str) -> None:
    click.echo(f"{seen.view.name}  {seen.view.sentence}")
    if (it := seen.newest) is not None:
        click.echo(
            f"{it.executing} tasks run on {it.threads} threads, {it.processing:,} are assigned, "
            f"{it.queued + it.waiting:,} wait, {it.in_memory:,} results are kept, "
            f"{it.erred:,} failed"
        )
        limit = f" of {output.size(it.memory_limit_bytes)}" if it.memory_limit_bytes else ""
        spilled = f", {output.size(it.spilled_bytes)} on disk" if it.spilled_bytes else ""
        click.echo(
            f"CPU {it.cpu_percent:.0f} %  memory {output.size(it.memory_bytes)}{limit}{spilled}  "
            f"scheduler {it.scheduler_cpu_percent:.0f} %, turn {it.event_loop_s * 1000:.0f} ms"
        )
    for signal in seen.signals.signals:
        click.echo(f"! {signal.signal.title}: {signal.signal.evidence}")
    click.echo()
    rows = sorted(seen.hosts, key=ORDERS[order], reverse=order != "name")
    titles = ("VM", "CPU", "memory", "spilled", "disk", "in/s", "out/s", "tasks")
    output.columns(titles, [_row(it) for it in rows], nothing="No samples yet.")


def _cpu(it: HostSample) -> float:
    return it.cpu_user_percent + it.cpu_system_percent


def _row(it: HostSample) -> tuple[str, ...]:
    limit = f"/{output.size(it.memory_limit_bytes)}" if it.memory_limit_bytes else ""
    disk = f"{100 * it.disk_used_bytes / it.disk_total_bytes:.0f} %" if it.disk_total_bytes else ""
    return (
        it.instance,
        f"{_cpu(it):.0f} %",
        f"{output.size(it.memory_used_bytes)}{limit}",
        output.size(it.spilled_bytes) if it.spilled_bytes else "",
        disk,
        output.size(int(it.net_in_bps)) if it.net_in_bps else "",
        output.size(int(it.net_out_bps)) if it.net_out_bps else "",
        f"{it.executing}/{it.processing}",
    )


ORDERS = {
    "name": lambda it: it.instance,
    "cpu": _cpu,
    "memory": lambda it: it.memory_used_bytes,
}

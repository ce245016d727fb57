"""`shoal cluster`: clusters, running and past, by name or id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from shoal.cli import cluster_words, happenings, output
from shoal.cli.ago import Ago
from shoal.cli.cluster_names import cluster_argument, names
from shoal.wire.events import EventKind
from shoal.wire.limits import WHOLE, LimitsView
from shoal.wire.views import (
    ClusterList,
    ClusterStatus,
    ClusterView,
    Ended,
    Explanation,
    InstanceView,
    LogLine,
)

if TYPE_CHECKING:
    from shoal.client.api import Api
    from shoal.client.details import Details
    from shoal.wire.endpoints import ClusterQuery, LogQuery

_FOLLOW_S = 1.0  # between looks for new log lines


@click.group("cluster")
def command() -> None:
    """Clusters: list, show, top, logs, stop, ssh, events, explain.

    Example: shoal cluster list
    """


@command.command("list")
@click.option("--all", "-a", "ended", is_flag=True, help="Those that have ended too.")
@click.option("--name", help="Only those of this name.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@output.json_option
def list_(ended: bool, name: str | None, limit: int, as_json: bool) -> None:
    """Clusters of the workspace, newest first.

    Example: shoal cluster list --all
    """
    from shoal.cli import session
    from shoal.wire.endpoints import ClusterQuery

    query = ClusterQuery(name=name, ended=ended)
    clusters, notices = session.talk(lambda api: _listed(api, query, limit))
    if as_json:
        output.json(ClusterList(clusters))
        return
    titles = ("name", "id", "status", "workers", "cloud", "an hour", "cost", "created")
    output.columns(
        titles,
        [cluster_words.row(it) for it in clusters],
        nothing="There are no clusters." if ended else "No cluster is running (--all: past ones).",
    )
    for notice in notices:
        output.note(notice)


@command.command()
@cluster_argument
@output.json_option
def show(cluster: str, as_json: bool) -> None:
    """One cluster: how it is, what deserves attention, what it computed, and its VMs.

    Example: shoal cluster show my-cluster
    """
    from shoal.cli import session

    details, instances = session.talk(lambda api: _cluster(api, cluster))
    if as_json:
        output.json(
            {
                "cluster": details.cluster,
                "instances": instances,
                "signals": details.signals,
                "computations": details.computations,
                "exceptions": details.exceptions,
                "record": details.record,
            }
        )
        return
    cluster_words.show(details, instances)


@command.command()
@cluster_argument
@click.option("--once", is_flag=True, help="Print it once and end.")
@click.option("--by", "order", type=click.Choice(["cpu", "memory", "name"]), default="cpu")
@output.json_option
def top(cluster: str, once: bool, order: str, as_json: bool) -> None:
    """A cluster's VMs and what they use, until Ctrl+C. With --json one object a line.

    Example: shoal cluster top my-cluster --by memory
    """
    from shoal.cli import top as watching

    watching.run(cluster, once=once, as_json=as_json, order=order)


@command.command()
@cluster_argument
@click.option("--follow", "-f", is_flag=True, help="Go on as lines arrive; end with Ctrl+C.")
@click.option("--instance", help="Only this VM's.")
@click.option(
    "--process",
    type=click.Choice(["agent", "scheduler", "worker", "kernel", "environment"]),
    help="Only what it said; environment: its making, the installer's words.",
)
@click.option("--text", help="Only lines that contain this.")
@click.option("--ignore-case", "-i", is_flag=True, help="Find --text in any case.")
@click.option("--since", type=Ago(), help="Not older than this: 90m, 12h, 30d or a date.")
@output.json_option
def logs(
    cluster: str,
    follow: bool,
    instance: str | None,
    process: str | None,
    text: str | None,
    ignore_case: bool,
    since: datetime | None,
    as_json: bool,
) -> None:
    """What the processes of a cluster said, of VMs that are gone too.

    \b
    Examples:
      shoal cluster logs my-cluster --process worker --text Error
      shoal cluster logs my-cluster --process environment
      shoal cluster logs my-cluster --follow
    """
    from shoal.cli import session
    from shoal.wire.endpoints import LogQuery

    query = LogQuery(
        instance=instance, process=process, text=text, any_case=ignore_case, since=since
    )
    tell = output.json_line if as_json else _log_line
    session.talk(lambda api: _logs(api, cluster, query, tell, follow=follow))


@command.command()
@click.argument("clusters", nargs=-1, shell_complete=names)
@click.option("--all", "all_", is_flag=True, help="All of yours that are running.")
@click.option("--everybody", is_flag=True, help="With --all: the others' of the workspace too.")
@click.option("--wait", is_flag=True, help="Until the last VM is gone.")
@output.json_option
def stop(clusters: tuple[str, ...], all_: bool, everybody: bool, wait: bool, as_json: bool) -> int:
    """End clusters and all their VMs.

    \b
    Examples:
      shoal cluster stop my-cluster
      shoal cluster stop --all --wait
    """
    from shoal.cli import session

    if bool(clusters) == all_:
        raise click.UsageError("Name the clusters to stop, or say --all.")
    if everybody and not all_:
        raise click.UsageError("--everybody goes with --all.")

    def tell(ended: Ended) -> None:
        if as_json:
            output.json_line(ended)
        else:
            output.note(f"{ended.cluster}: {'had ended' if ended.already else 'is ending'}")

    async def work(api: Api) -> int:
        return await _stop(api, clusters or await _running(api, everybody), tell, wait=wait)

    return session.talk(work)


class _BeforeDashes(click.Command):
    """What follows `--` is a command to be run, as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.obj = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND…]"]


@command.command(cls=_BeforeDashes)
@cluster_argument
@click.argument("vm", required=False)
@click.option("--user", help="Log in as this user; else as your SSH configuration says.")
@click.option("--print", "only_print", is_flag=True, help="Print what would be run.")
@click.pass_context
def ssh(
    ctx: click.Context,
    cluster: str,
    vm: str | None,
    user: str | None,
    only_print: bool,
) -> None:
    """A shell on a cluster's VM, or one command there: on the scheduler's, or on VM, an id, its
    number, or "worker".

    On this machine it begins in the VM's directory, with the environment that its Dask runs in. On
    a cloud it is plain ssh where that is answered, else you are told the cloud's own command.

    \b
    Examples:
      shoal cluster ssh my-cluster
      shoal cluster ssh my-cluster 2 -- python -c "import sys; print(sys.prefix)"
    """
    from shoal.cli import ssh as shell

    ctx.exit(shell.run(cluster, vm, ctx.obj, user=user, only_print=only_print))


@command.command()
@cluster_argument
@click.option("--follow", "-f", is_flag=True, help="Go on as things happen; end with Ctrl+C.")
@output.json_option
def events(cluster: str, follow: bool, as_json: bool) -> None:
    """What happened to a cluster, who did it and why; Dask workers that came and were lost, and
    P2P shuffles.

    Example: shoal cluster events my-cluster --follow
    """
    from shoal.cli import session

    tell = output.json_line if as_json else happenings.line
    session.talk(lambda api: happenings.tell_all(api, cluster, tell, follow=follow))


@command.command()
@cluster_argument
@output.json_option
def explain(cluster: str, as_json: bool) -> None:
    """What the server would do next and why. Nothing is done.

    Example: shoal cluster explain my-cluster
    """
    from shoal.cli import session
    from shoal.wire import endpoints

    found: Explanation = session.ask(endpoints.EXPLAIN, path={"cluster": cluster})
    if as_json:
        output.json(found)
        return
    click.echo(found.sentence)
    rows = [(it.action, it.subject, it.why) for it in found.actions]
    output.columns(("action", "on", "why"), rows, nothing="Nothing is to be done.")


async def _clusters(api: Api, query: ClusterQuery, limit: int) -> tuple[ClusterView, ...]:
    from shoal.client import pages

    found: list[ClusterView] = []
    async for view in pages.clusters(api, query):
        found.append(view)
        if len(found) == limit:
            break
    return tuple(found)


async def _listed(
    api: Api, query: ClusterQuery, limit: int
) -> tuple[tuple[ClusterView, ...], tuple[str, ...]]:
    """And what is to be known of budgets now, the workspace's and the owners'; a list is none the
    worse where a server cannot tell."""
    from shoal.errors import ShoalError
    from shoal.wire import endpoints

    clusters = await _clusters(api, query, limit)
    try:
        view: LimitsView = await api.call(endpoints.LIMITS)
    except ShoalError:
        return clusters, ()
    owners = {WHOLE, *(it.owner for it in clusters)}
    return clusters, tuple(note for it in view.held if it.user in owners for note in it.notices)


async def _cluster(api: Api, cluster: str) -> tuple[Details, tuple[InstanceView, ...]]:
    from shoal.client import details, pages

    found = await details.of_cluster(api, cluster)
    instances = tuple([it async for it in pages.instances(api, found.cluster.id)])
    return found, instances


async def _logs(
    api: Api, cluster: str, query: LogQuery, tell: Callable[[LogLine], None], *, follow: bool
) -> None:
    from shoal.client import pages

    dropped = 0
    async for page in pages.log_pages(api, cluster, query):
        for line in page.lines:
            tell(line)
        if page.dropped > dropped:
            dropped = page.dropped
            output.note(f"{dropped} lines were dropped: they came faster than they are kept")
        if not page.lines:
            if not follow:
                return
            await asyncio.sleep(_FOLLOW_S)


async def _running(api: Api, everybody: bool) -> tuple[str, ...]:
    from shoal.client import pages
    from shoal.wire import endpoints
    from shoal.wire.views import ServerInfo

    info: ServerInfo = await api.call(endpoints.SERVER)
    query = endpoints.ClusterQuery(owner=None if everybody else info.user)
    return tuple([it.id async for it in pages.clusters(api, query)])


async def _stop(
    api: Api, clusters: tuple[str, ...], tell: Callable[[Ended], None], *, wait: bool
) -> int:
    """The exit status. One that cannot be stopped keeps no other from it."""
    from shoal.cli import mistakes
    from shoal.errors import ShoalError
    from shoal.wire import endpoints
    from shoal.wire.requests import StopCluster

    body, ending, failed = StopCluster(reason="shoal cluster stop"), [], 0
    for it in clusters:
        try:
            ended: Ended = await api.call(endpoints.STOP_CLUSTER, path={"cluster": it}, body=body)
        except ShoalError as error:
            mistakes.tell(error)
            failed = 1
            continue
        tell(ended)
        ending.append(ended.cluster)
    if wait:
        for id in ending:
            await gone(api, id)
    return failed


async def gone(api: Api, cluster: str) -> ClusterView:
    """Wait until the last VM of an ended cluster is gone."""
    from shoal.wire import endpoints

    view: ClusterView = await api.call(endpoints.CLUSTER, path={"cluster": cluster})
    over = (ClusterStatus.ENDED, ClusterStatus.FAILED)
    if view.status in over:
        return view
    query = endpoints.ChangesQuery(cluster=view.id, after=view.event_seq)
    async for event in api.stream(endpoints.CHANGES, query=query):
        if event.kind is EventKind.CLUSTER_ENDED:
            break
    last: ClusterView = await api.call(endpoints.CLUSTER, path={"cluster": view.id})
    return last


def _log_line(line: LogLine) -> None:
    click.echo(f"{line.at:%H:%M:%S} {line.instance} {line.process}: {line.text}")

"""`shoal cost`: what a cluster has cost, or the workspace by day, user, tag, cloud, cluster."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import click

from shoal.cli import output
from shoal.cli.cluster_names import optional_cluster_argument
from shoal.wire.views import CostReport, CostShare, CostView

_HOUR_S = 3600


@click.command("cost")
@optional_cluster_argument
@click.option("--by", help="day, user, cloud, cluster, tag (every key=value) or tag:KEY.")
@click.option("--since", default="30d", show_default=True, help="As 30d, 12h or 2026-11-01.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@output.json_option
def command(cluster: str | None, by: str | None, since: str, as_csv: bool, as_json: bool) -> None:
    """What a cluster has cost so far, VM by VM; or, with --by, all clusters of the workspace.

    Money is counted second by second from what VMs have lived, past clusters too. Days are UTC
    days, the first one counted from its beginning.

    Example: shoal cost --by tag:team --since 30d --csv
    """
    if cluster is not None and by is not None:
        raise click.UsageError("Give a cluster or --by, not both.")
    if cluster is not None:
        _of_cluster(cluster, as_csv=as_csv, as_json=as_json)
    else:
        _of_workspace(by or "day", moment(since, datetime.now(UTC)), as_csv=as_csv, as_json=as_json)


def _of_cluster(cluster: str, *, as_csv: bool, as_json: bool) -> None:
    from shoal.cli import session
    from shoal.client.progress import dollars
    from shoal.wire import endpoints

    found: CostView = session.ask(endpoints.COST, path={"cluster": cluster})
    if as_json:
        output.json(found)
        return
    if as_csv:
        titles = ("vm", "role", "machine_type", "seconds", "usd")
        _csv(
            titles,
            (
                (
                    it.instance,
                    it.role.value,
                    it.machine_type,
                    f"{it.seconds:.3f}",
                    _usd(it.cost_uusd),
                )
                for it in found.lines
            ),
        )
        return
    rows = [
        (
            line.instance,
            line.role.value,
            line.machine_type,
            output.duration(line.seconds),
            dollars(line.cost_uusd),
        )
        for line in found.lines
    ]
    output.columns(("VM", "role", "machine type", "for", "cost"), rows, nothing="It had no VMs.")
    click.echo(f"Total: {dollars(found.cost_uusd)}")


def _of_workspace(by: str, since: datetime, *, as_csv: bool, as_json: bool) -> None:
    from shoal.cli import session
    from shoal.client.progress import dollars
    from shoal.wire import endpoints

    query = endpoints.CostsQuery(by=by, since=since)
    found: CostReport = session.ask(endpoints.COSTS, query=query)
    if as_json:
        output.json(found)
        return
    if as_csv:
        titles = ("key", "name", "clusters", "vm_hours", "unpriced_vm_hours", "usd")
        _csv(titles, map(_cells, found.lines))
        return
    rows = [
        (it.name or it.key, _hours(it.seconds), dollars(it.uusd), _unpriced(it.unpriced_s))
        for it in found.lines
    ]
    output.columns(
        (by, "VM hours", "cost", ""), rows, nothing=f"Nothing was had since {found.since:%Y-%m-%d}."
    )
    click.echo(f"Total since {found.since:%Y-%m-%d}: {dollars(found.uusd)}")
    expected = dollars(found.month_expected_uusd)
    click.echo(f"This month: {dollars(found.month_uusd)} so far, {expected} expected by its end")


def moment(text: str, now: datetime) -> datetime:
    """A date, or how long before now."""
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    number, unit = text[:-1], units.get(text[-1:])
    try:
        if unit is not None and number.isascii() and number.isdigit():
            return now - timedelta(**{unit: int(number)})
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is neither a time span nor a date: as 30d, 12h or 2026-11-01.",
            param_hint="--since",
        ) from error


def _cells(it: CostShare) -> tuple[str, ...]:
    hours, unpriced = _hours(it.seconds), _hours(it.unpriced_s)
    return (it.key, it.name, str(it.clusters or ""), hours, unpriced, _usd(it.uusd))


def _csv(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(rows)


def _usd(uusd: int | None) -> str:
    return "" if uusd is None else f"{uusd / 1_000_000:.6f}"


def _hours(seconds: float) -> str:
    return f"{seconds / _HOUR_S:.2f}"


def _unpriced(seconds: float) -> str:
    return f"and {_hours(seconds)} VM hours without a known price" if seconds else ""

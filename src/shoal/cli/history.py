"""`shoal history`: what ran, on clusters that are gone too."""

from __future__ import annotations

from datetime import datetime

import click

from shoal.cli import output
from shoal.cli.ago import Ago
from shoal.wire.telemetry import ComputationList, ComputationView


@click.command("history")
@click.option("--cluster", help="Only this cluster's, by name or id.")
@click.option("--text", help="Only where the code contains this.")
@click.option("--span", help="Only with tasks in a span of this name (distributed.span).")
@click.option("--erred", is_flag=True, help="Only those with tasks that failed.")
@click.option("--since", type=Ago(), help="Not older than this: 90m, 12h, 30d or a date.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=30, show_default=True)
@output.json_option
def command(
    cluster: str | None,
    text: str | None,
    span: str | None,
    erred: bool,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """What was computed, newest first, with the line of code that asked for it.

    \b
    Examples:
      shoal history --since 7d
      shoal history --text groupby --erred
    """
    from shoal.cli import session
    from shoal.wire import endpoints

    query = endpoints.ComputationQuery(
        cluster=cluster, text=text, span=span, erred=erred, since=since, limit=limit
    )
    found: ComputationList = session.ask(endpoints.COMPUTATIONS, query=query)
    if as_json:
        output.json(found)
        return
    output.columns(
        ("began", "cluster", "tasks", "failed", "took", "code"),
        [_row(it) for it in found.computations],
        nothing="Nothing that fits is on record.",
    )


def _row(it: ComputationView) -> tuple[str, ...]:
    from shoal.client.details import code_line, duration_words

    ran = it.computation
    return (
        f"{ran.started_at.astimezone():%Y-%m-%d %H:%M:%S}",
        it.cluster,
        f"{ran.done:,}/{ran.tasks:,}",
        f"{ran.erred:,}" if ran.erred else "",
        duration_words(ran),
        code_line(ran),
    )

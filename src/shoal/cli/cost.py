"""`shoal cost`: what a cluster has cost."""

from __future__ import annotations

import click

from shoal.cli import output
from shoal.cli.cluster import cluster_argument
from shoal.wire.views import CostView


@click.command("cost")
@cluster_argument
@output.json_option
def command(cluster: str, as_json: bool) -> None:
    """What a cluster has cost so far, VM by VM; also after it has ended.

    Example: shoal cost my-cluster
    """
    from shoal.cli import session
    from shoal.client.progress import dollars
    from shoal.wire import endpoints

    found: CostView = session.ask(endpoints.COST, path={"cluster": cluster})
    if as_json:
        output.json(found)
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

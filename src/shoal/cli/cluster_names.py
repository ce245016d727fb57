"""The argument CLUSTER of commands: a name or an id, and names of running ones to complete it."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from shoal.wire.views import ClusterList


def names(ctx: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Of running clusters, if a server runs; completion starts none and never complains."""
    from shoal.cli import session
    from shoal.client import connection, embedded
    from shoal.errors import ShoalError
    from shoal.wire import endpoints
    from shoal.wire.state_directory import state_directory

    try:
        if connection.configured() is None and embedded.running(state_directory()) is None:
            return []
        found: ClusterList = session.ask(endpoints.CLUSTERS)
    except ShoalError:
        return []
    return [CompletionItem(it.name) for it in found.clusters if it.name.startswith(typed)]


cluster_argument = click.argument("cluster", shell_complete=names)
optional_cluster_argument = click.argument("cluster", required=False, shell_complete=names)

"""How clusters and their VMs are shown by `shoal cluster list` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shoal.cli import output
from shoal.wire.telemetry import Severity, Telemetry
from shoal.wire.views import ClusterStatus, ClusterView, InstanceView

if TYPE_CHECKING:
    from shoal.client.details import Details

_COLOURS = {
    ClusterStatus.READY: "green",
    ClusterStatus.DEGRADED: "yellow",
    ClusterStatus.FAILED: "red",
    ClusterStatus.ENDED: "bright_black",
}
_SEVERITIES = {Severity.PROBLEM: "red", Severity.WARNING: "yellow", Severity.ADVICE: "cyan"}


def show(details: Details, instances: tuple[InstanceView, ...]) -> None:
    _show(details.cluster)
    _show_lacking(details.record)
    _show_recorded(details)
    click.echo()
    titles = ("VM", "role", "state", "stage", "since", "machine type", "zone", "why")
    output.columns(titles, [_instance_row(it) for it in instances], nothing="It has no VMs.")


def _rest(view: ClusterView) -> str:
    """The sentence without the status that it begins with."""
    return view.sentence.removeprefix(f"{view.status}: ")


def _show(view: ClusterView) -> None:
    from shoal.client.progress import dollars, worker_words

    workers, asked = worker_words(view.workers), view.spec.workers
    if asked.adaptive:
        workers += f" (adaptive, {asked.minimum} to {asked.maximum})"
    output.facts(
        [
            ("name", view.name),
            ("id", view.id),
            ("status", f"{_coloured(view.status)}: {_rest(view)}"),
            ("workers", workers),
            ("cloud", " ".join(it for it in (view.spec.cloud, view.spec.region) if it)),
            ("owner", f"{view.owner} in workspace {view.workspace}"),
            ("created", output.ago(view.created_at)),
            ("ended", f"{output.ago(view.ended_at)}: {view.end_reason}" if view.ended_at else ""),
            ("scheduler", view.scheduler_address),
            ("environment", view.spec.environment),
            ("an hour", dollars(view.price_uusd_per_hour)),
            ("cost", dollars(view.cost_uusd)),
            ("tags", ", ".join(f"{key}={value}" for key, value in view.spec.tags.items())),
            ("details", view.details_url),
        ]
    )


def _show_lacking(record: Telemetry) -> None:
    from shoal.client.details import lacking

    for it in lacking(record):
        output.note(it)


def _show_recorded(details: Details) -> None:
    from shoal.client.details import computation_line, exception_line, signal_lines

    for it in details.signals:
        click.echo()
        title, *rest = signal_lines(it)
        click.echo(click.style(title, fg=_SEVERITIES[it.signal.severity]))
        click.echo("\n".join(rest))
    for title, lines in (
        ("Computations", [computation_line(it) for it in details.computations]),
        ("Exceptions", [exception_line(it) for it in details.exceptions]),
    ):
        if lines:
            click.echo()
            click.echo(click.style(title, bold=True))
            click.echo("\n".join(lines))


def row(view: ClusterView) -> tuple[str, ...]:
    from shoal.client.progress import dollars

    return (
        view.name,
        view.id,
        view.status.value,
        f"{view.workers.ready}/{view.workers.wanted}",
        view.spec.cloud.value,
        dollars(view.price_uusd_per_hour),
        dollars(view.cost_uusd),
        output.ago(view.created_at),
    )


def _instance_row(view: InstanceView) -> tuple[str, ...]:
    return (
        view.id,
        view.role.value,
        view.state.value,
        view.stage.value,
        output.ago(view.since),
        view.machine_type,
        view.zone,
        view.detail or view.why,
    )


def _coloured(status: ClusterStatus) -> str:
    return click.style(status.value, fg=_COLOURS.get(status))

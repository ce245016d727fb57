"""`shoal limits`: what a workspace and its users may have at once, and spend in a month."""

from __future__ import annotations

from collections.abc import Iterator

import click

from shoal.cli import output
from shoal.errors import InvalidRequest
from shoal.wire.ids import UserName
from shoal.wire.limits import EACH, WHOLE, ChangeLimits, InUse, LimitName, Limits, LimitsView

user_option = click.option(
    "--user", default="", help="One user's; '*': each user's who has none of the kind."
)
why_option = click.option("--why", default="", help="Kept in the event that tells of the change.")


@click.group("limits")
def command() -> None:
    """Limits and budgets: show, set, clear (changing them needs the scope "admin").

    Example: shoal limits set --workers 200 --budget 3000
    """


@command.command()
@user_option
@output.json_option
def show(user: str, as_json: bool) -> None:
    """What may be had, what is in use now and what was spent this month.

    Example: shoal limits show
    """
    from shoal.cli import session
    from shoal.wire import endpoints

    found: LimitsView = session.ask(endpoints.LIMITS)
    if user:
        found = LimitsView(
            found.workspace, tuple(it for it in found.held if it.user == user), found.grace_s
        )
    if as_json:
        output.json(found)
    else:
        _show(found)


@command.command("set")
@user_option
@click.option("--clusters", type=click.IntRange(0), help="Clusters at once.")
@click.option("--workers", type=click.IntRange(0), help="Workers at once, in all clusters.")
@click.option("--vcpus", type=click.IntRange(0), help="vCPUs at once, schedulers' too.")
@click.option("--gpus", type=click.IntRange(0), help="GPUs at once.")
@click.option("--price", type=click.FloatRange(0), help="Dollars an hour, all VMs together.")
@click.option("--budget", type=click.FloatRange(0), help="Dollars a calendar month (UTC).")
@click.option("--lifetime", help="How long a cluster may live: '8 h', '90 min', '2 days'.")
@why_option
@output.json_option
def set_(
    user: str,
    clusters: int | None,
    workers: int | None,
    vcpus: int | None,
    gpus: int | None,
    price: float | None,
    budget: float | None,
    lifetime: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Set limits; those that are not named stay as they are.

    Example: shoal limits set --user ada --workers 20 --budget 500 --why "her thesis"
    """
    values = Limits(
        clusters=clusters,
        workers=workers,
        vcpus=vcpus,
        gpus=gpus,
        price_uusd_per_hour=_uusd(price),
        budget_uusd=_uusd(budget),
        lifetime_s=None if lifetime is None else _seconds(lifetime),
    )
    _change(ChangeLimits(values=values, user=UserName(user), why=why), as_json=as_json)


@command.command()
@user_option
@click.argument("names", nargs=-1, type=click.Choice([it.value for it in LimitName]))
@why_option
@output.json_option
def clear(user: str, names: tuple[str, ...], why: str, as_json: bool) -> None:
    """Take limits away: the NAMES, or all.

    Example: shoal limits clear --user ada workers budget
    """
    chosen = tuple(LimitName(it) for it in names) or tuple(LimitName)
    _change(ChangeLimits(clear=chosen, user=UserName(user), why=why), as_json=as_json)


def _change(asked: ChangeLimits, *, as_json: bool) -> None:
    from shoal.cli import session
    from shoal.wire import endpoints

    found: LimitsView = session.ask(endpoints.CHANGE_LIMITS, body=asked)
    if as_json:
        output.json(found)
    else:
        _show(found)


def _uusd(dollars: float | None) -> int | None:
    return None if dollars is None else round(dollars * 1_000_000)


def _seconds(text: str) -> float:
    from dask.utils import parse_timedelta

    try:
        return float(parse_timedelta(text, default="s"))
    except (ValueError, KeyError) as error:
        raise InvalidRequest(
            f"{text!r} is no span of time.", hint="Give it as in '8 h', '90 min' or '2 days'."
        ) from error


def _show(found: LimitsView) -> None:
    rows = [
        (_whose(found, it.user), *row)
        for it in found.held
        for row in _rows(it.limits, it.in_use, template=it.user == EACH)
    ]
    nothing = "Nothing is limited and nothing is in use. Set a limit: shoal limits set --workers 20"
    output.columns(("who", "limit", "of", "in use", "left"), rows, nothing=nothing)
    for it in found.held:
        for notice in it.notices:
            output.note(notice)


def _whose(found: LimitsView, user: str) -> str:
    if user == WHOLE:
        return f"workspace {found.workspace}"
    return "each user" if user == EACH else f"user {user}"


def _rows(limits: Limits, use: InUse, *, template: bool) -> Iterator[tuple[str, str, str, str]]:
    """One a limit that is set, or of which something is in use."""
    money = LimitName.PRICE, LimitName.BUDGET
    for name, most, used in (
        (LimitName.CLUSTERS, limits.clusters, use.clusters),
        (LimitName.WORKERS, limits.workers, use.workers),
        (LimitName.VCPUS, limits.vcpus, use.vcpus),
        (LimitName.GPUS, limits.gpus, use.gpus),
        (LimitName.PRICE, limits.price_uusd_per_hour, use.price_uusd_per_hour),
        (LimitName.BUDGET, limits.budget_uusd, use.month_uusd),
    ):
        if most is None and not used:
            continue
        words = _dollars if name in money else str
        limit = "no limit" if most is None else words(most)
        left = "" if most is None or template else words(max(0, most - used))
        yield _NAMES[name], limit, "" if template else words(used), left
    if use.unpriced_vms:
        yield "VMs without a known price", "", str(use.unpriced_vms), ""
    if limits.lifetime_s is not None:
        yield _NAMES[LimitName.LIFETIME], output.duration(limits.lifetime_s), "", ""


_NAMES = {
    LimitName.CLUSTERS: "clusters",
    LimitName.WORKERS: "workers",
    LimitName.VCPUS: "vCPUs",
    LimitName.GPUS: "GPUs",
    LimitName.PRICE: "price an hour",
    LimitName.BUDGET: "budget of the month",
    LimitName.LIFETIME: "lifetime of a cluster",
}


def _dollars(uusd: int) -> str:
    return f"${uusd / 1_000_000:,.2f}"

"""What a cluster is about to be made of and cost, role by role: shown before the first VM exists.

It is the server's answer, from the same functions that the launch chooses by, and it says at once
what limits do not allow, before the environment is copied.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from shoal.client.api import Api
from shoal.errors import LimitExceeded, NotPossible, ShoalError
from shoal.wire import endpoints
from shoal.wire.requests import PreviewCluster
from shoal.wire.specs import Cloud, ClusterSpec
from shoal.wire.views import OfferView, Preview, PreviewRow

_SHOWN = 3  # alternatives of the workers
_FREE = (Cloud.LOCAL, Cloud.SIM)  # nobody is billed


class Told(msgspec.Struct, frozen=True):
    """In words, a line each."""

    table: tuple[str, ...] = ()  # role by role, and what all cost together
    notices: tuple[str, ...] = ()  # what it means for budgets


async def head(api: Api, spec: ClusterSpec) -> Told:
    """LimitExceeded or NotPossible if it cannot be had as asked; empty where there is
    nothing to tell: a cluster that can be had does not fail for want of a table."""
    try:
        found: Preview = await api.call(endpoints.PREVIEW_CLUSTER, body=PreviewCluster(spec=spec))
    except NotPossible:
        raise
    except ShoalError:
        return Told()
    if found.refused:
        raise LimitExceeded(found.refused, hint=found.hint)
    table = () if spec.cloud in _FREE else tuple(lines(found))
    return Told(table, found.notices)


def lines(found: Preview) -> Iterator[str]:
    for row in found.rows:
        if row.offers and row.most:
            yield from _row(row)
    yield _total(found)


def _row(row: PreviewRow) -> Iterator[str]:
    count = str(row.count) if row.count == row.most else f"{row.count} to {row.most}"
    who = "scheduler" if row.most == 1 and row.role == "scheduler" else f"{count} × worker"
    shown = row.offers[: _SHOWN if row.role == "worker" else 1]
    extras = row.extras_uusd_per_hour or (None,) * len(shown)
    for place, (it, more) in enumerate(zip(shown, extras, strict=False)):
        yield f"{who if not place else 'or'} {_words(it, more)}"


def _words(it: OfferView, extras: int | None) -> str:
    price = it.price_uusd_per_hour
    told = "price not known" if price is None else f"${(price + (extras or 0)) / 1e6:.4f} an hour"
    return f"{it.machine_type} in {it.zone}{', spot' if it.spot else ''}: {told}"


def _total(found: Preview) -> str:
    begin, most = found.price_uusd_per_hour, found.most_uusd_per_hour
    if begin is None:
        return "together: not known, for want of prices"
    grown = "" if most is None or most == begin else f", up to ${most / 1e6:.4f}"
    return f"together ${begin / 1e6:.4f} an hour{grown}"

"""One cluster on pages: its VMs, events and plan. Each tab is a URL of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
from starlette.responses import Response

from shoal.core import cost as money
from shoal.core import losses, status
from shoal.core.records import Instance
from shoal.errors import InvalidRequest, NotPossible
from shoal.server.desk import Incoming
from shoal.server.handlers import clusters as handlers
from shoal.server.pages import exports, words
from shoal.server.pages.asked import asked, url
from shoal.server.pages.frame import Visit, redirect, render
from shoal.server.pages.life import LEGEND, Life, life, ticks
from shoal.server.pages.runs import Run, runs
from shoal.store import events as event_rows
from shoal.store import instances as instance_rows
from shoal.store import viewing
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, EventSeq
from shoal.wire.specs import Cloud
from shoal.wire.views import ClusterView, Explanation, InstanceState, InstanceView

START = timedelta(minutes=5)  # the scale of the first minutes
_VMS, _EVENTS, _NAMED = 100, 100, 500

TABS = (
    ("", "Overview"),
    ("computations", "Computations"),
    ("clients", "Clients"),
    ("workers", "Workers"),
    ("vms", "VMs"),
    ("metrics", "Metrics"),
    ("events", "Events"),
    ("software", "Software"),
    ("logs", "Logs"),
)
_OF_VMS = ("vms", "software", "logs")  # what a cluster without VMs of ours has not

Q = TypeVar("Q")


async def cluster_view(visit: Visit) -> ClusterView:
    return await handlers.cluster(visit.desk, asked_of(visit, None))


def asked_of(visit: Visit, query: Q) -> Incoming[Q, None]:
    return Incoming(visit.known.caller, visit.request.path_params, query, None)


def page(visit: Visit, view: ClusterView, tab: str, values: Mapping[str, object]) -> Response:
    """A tab of a cluster's, by the template of its name."""
    live = view.ended_at is None or bool(values.get("held"))
    common = {
        "here": "/",
        "cluster": view,
        "tab": tab,
        "tabs": tabs(view),
        "live": live,
        "watched": view.spec.cloud is Cloud.WATCHED,
    }
    template = f"cluster_{tab or 'overview'}.html"
    return render(visit, template, common | {"held": False} | dict(values))


def tabs(view: ClusterView) -> Sequence[tuple[str, str]]:
    watched = view.spec.cloud is Cloud.WATCHED
    return [it for it in TABS if not (watched and it[0] in _OF_VMS)]


# -- VMs ------------------------------------------------------------------------------------------


class VmsAsked(msgspec.Struct, frozen=True):
    show: str = ""  # "had", "gone", or "": all
    scale: str = ""  # "start": the first minutes alone
    page: str = ""

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


class Machine(msgspec.Struct, frozen=True):
    view: InstanceView
    cost_uusd: int | None
    life: Life
    badge: str  # the one word
    tone: str


async def vms(visit: Visit) -> Response:
    desk, view, it = visit.desk, await cluster_view(visit), asked(visit, VmsAsked)
    if view.spec.cloud is Cloud.WATCHED:
        return redirect(f"/clusters/{view.id}/workers", 302)
    now = desk.clock()
    found, following, end = await _machines(visit, view, it, _VMS)
    values = {
        "query": it,
        "machines": found,
        "next_page": following,
        "legend": LEGEND,
        "ticks": ticks(view.created_at, end),
        "until": now,
        "held": any(one.view.state is not InstanceState.GONE for one in found),
    }
    return page(visit, view, "vms", values)


async def _machines(
    visit: Visit, cluster: ClusterView, it: VmsAsked, limit: int
) -> tuple[list[Machine], str | None, datetime]:
    """The scheduler's first: it is the first that is asked for. And until when they are drawn."""
    if it.scale not in ("", "start"):
        raise InvalidRequest(f"{it.scale!r} is no scale.", hint="Take start.")
    if it.show not in ("", "had", "gone"):
        raise InvalidRequest(f"{it.show!r} is not what VMs can be.", hint="Take had or gone.")
    had = None if not it.show else it.show == "had"
    desk, now = visit.desk, visit.desk.clock()
    seen = await desk.database.run(
        viewing.instances, cluster.id, after=it.page or None, limit=limit, had=had
    )
    ids = [one.id for one in seen.instances]
    stages = await desk.database.run(event_rows.stages, cluster.id, ids)
    views = [
        status.instance_view(one, seen.observations.get(one.id), now) for one in seen.instances
    ]
    end = _end(cluster, views, now)
    if it.scale == "start":
        end = min(end, cluster.created_at + START)
    drawn = [
        Machine(
            shown,
            money.cost_uusd(one, now),
            life(shown, stages.get(one.id, ()), cluster.created_at, end),
            *_badge(one, shown),
        )
        for one, shown in zip(seen.instances, views, strict=True)
    ]
    return drawn, seen.following, end


def _badge(vm: Instance, shown: InstanceView) -> tuple[str, str]:
    """What became of a VM that went wrong, else what it does."""
    if shown.state is not InstanceState.LAUNCHED and vm.failed:
        return "failed", "bad"
    if losses.vanished(vm):
        return "preempted", "warn"
    word = words.standing(shown)
    return word, words.tone(word)


def _end(cluster: ClusterView, vms: Sequence[InstanceView], now: datetime) -> datetime:
    """Lives are drawn until now while any is had, else until the last is gone."""
    if cluster.ended_at is None or any(it.gone_at is None for it in vms):
        return now
    return max((it.gone_at for it in vms if it.gone_at), default=cluster.ended_at)


_VM_TITLES = (
    *("id", "role", "state", "stage", "why", "zone", "machine_type", "spot"),
    *("usd_per_hour", "usd", "created_at", "launched_at", "released_at", "gone_at", "phases"),
    *("environment", "broken"),
)


async def vms_csv(visit: Visit) -> Response:
    view = await cluster_view(visit)
    found, _, _ = await _machines(visit, view, asked(visit, VmsAsked), exports.MAX_ROWS)
    return exports.as_csv(f"{view.name}-vms", _VM_TITLES, map(_vm_row, found))


def _vm_row(it: Machine) -> tuple[exports.Cell, ...]:
    vm = it.view
    return (
        vm.id,
        vm.role,
        vm.state,
        vm.stage,
        vm.why,
        vm.zone,
        vm.machine_type,
        int(vm.spot),
        exports.dollars(vm.price_uusd_per_hour),
        exports.dollars(it.cost_uusd),
        vm.created_at,
        vm.launched_at,
        vm.released_at,
        vm.gone_at,
        ";".join(f"{one.what}={one.seconds:.3f}" for one in it.life.phases),
        vm.environment,
        vm.broken,
    )


async def vms_json(visit: Visit) -> Response:
    view = await cluster_view(visit)
    found, _, _ = await _machines(visit, view, asked(visit, VmsAsked), exports.MAX_ROWS)
    return exports.as_json(f"{view.name}-vms", {"vms": found})


# -- events ---------------------------------------------------------------------------------------


class EventsAsked(msgspec.Struct, frozen=True):
    kind: str = ""  # of an event, or what stands before its dot
    vm: str = ""
    q: str = ""
    each: str = ""  # "1": one by one
    before: str = ""

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


async def events(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, EventsAsked)
    found = await _events(visit, view.id, it, _EVENTS + 1)
    shown = found[:_EVENTS]
    following = shown[-1].seq if len(found) > _EVENTS else None
    values = {
        "query": it,
        "runs": [Run((it,)) for it in shown] if it.each else runs(shown),
        "following": following,
        "kinds": [("", "all"), *_kinds()],
        "vms": [
            ("", "all"),
            *((vm, words.vm(vm)) for vm in await _vm_names(visit, view.id, it.vm)),
        ],
    }
    return page(visit, view, "events", values)


async def _events(visit: Visit, cluster: ClusterId, it: EventsAsked, limit: int) -> list[Event]:
    wanted = [kind for kind in EventKind if it.kind in (kind, kind.partition(".")[0])]
    if it.kind and not wanted:
        raise InvalidRequest(f"{it.kind!r} is no kind of event.")
    return await visit.desk.database.run(
        event_rows.newest,
        cluster,
        limit,
        kinds=wanted if it.kind else (),
        instance=it.vm or None,
        text=it.q or None,
        before=EventSeq(number(it.before)) if it.before else None,
    )


def _kinds() -> list[tuple[str, str]]:
    """Groups, then the kinds themselves."""
    groups = dict.fromkeys(kind.partition(".")[0] for kind in EventKind if "." in kind)
    return [*((it, f"{it}: all") for it in groups), *((it, it) for it in EventKind)]


async def _vm_names(visit: Visit, cluster: ClusterId, chosen: str) -> list[str]:
    vms, _ = await visit.desk.database.run(instance_rows.of_cluster, cluster, limit=_NAMED)
    names = [str(it.id) for it in vms]
    return [*names, *([chosen] if chosen and chosen not in names else [])]


def number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise InvalidRequest(f"{text!r} is not where a page begins.")
    return int(text)


async def events_csv(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, EventsAsked)
    rows = [
        (e.seq, e.at, e.kind, e.actor, e.instance, e.before, e.after, e.count, e.why)
        for e in await _events(visit, view.id, it, exports.MAX_ROWS)
    ]
    titles = ("seq", "at", "kind", "actor", "vm", "before", "after", "count", "why")
    return exports.as_csv(f"{view.name}-events", titles, rows)


async def events_json(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, EventsAsked)
    found = await _events(visit, view.id, it, exports.MAX_ROWS)
    return exports.as_json(f"{view.name}-events", {"events": found})


async def plan(visit: Visit) -> Response:
    """Apart from the events: it asks the cloud for a listing."""
    view = await cluster_view(visit)
    return page(visit, view, "plan", {"explanation": await _explained(visit, view)})


async def plan_file(visit: Visit) -> Response:
    view = await cluster_view(visit)
    parts = {"plan": (await _explained(visit, view)).actions}
    return exports.structs(view.name, "plan", visit.request.path_params["kind"], parts)


async def _explained(visit: Visit, view: ClusterView) -> Explanation:
    if view.spec.cloud is Cloud.WATCHED:
        raise NotPossible(
            f"Nothing is planned for {view.name!r}: it is only watched.",
            hint="Who started it decides what it does next.",
        )
    return await handlers.explain(visit.desk, asked_of(visit, None))

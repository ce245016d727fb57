"""What must be true after every recovery, whatever was killed: asked of the account's ledger, which
forgets nothing, and of the rows, in SQL of its own."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import msgspec

from shoal.clouds.sim_account import SimVm
from shoal.clouds.sim_knobs import Fate
from tests.kill.rig import Scene, Site
from tests.kill.stories import Story

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(msgspec.Struct, frozen=True):
    id: str
    batch: str
    cluster: str
    role: str
    state: str
    vm: str
    retiring: bool
    launched_at: datetime | None
    released_at: datetime | None
    gone_at: datetime | None


def rows(site: Site) -> list[Row]:
    query = (
        "SELECT id, batch, cluster, role, state, vm, retiring_since IS NOT NULL, launched_at, "
        "released_at, gone_at FROM instance"
    )
    return [
        Row(id, batch, cluster, role, state, vm, bool(retiring), *map(_moment, times))
        for id, batch, cluster, role, state, vm, retiring, *times in site.rows.execute(query)
    ]


def _moment(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def unmet(scene: Scene, story: Story) -> list[str]:
    """What is not yet as asked. Empty in the end, or the run has failed."""
    found: list[str] = []
    for site in scene.sites:
        known = rows(site)
        found += _asked(site, story, known)
        found += _agreed(scene, site, known)
    if scene.account.expecting:
        found.append("a request is still under way")
    return found


def _asked(site: Site, story: Story, known: list[Row]) -> list[str]:
    found = site.rows.execute("SELECT id, settled_at, end_kind FROM cluster").fetchall()
    if not found:
        return [f"{site.installation}: the cluster was not created"]
    [(id, settled_at, end_kind)] = found
    workers = story.workers if site.number == 1 else 1
    if workers is None:
        return [] if settled_at is not None else [f"{id} has not ended"]
    if end_kind is not None:
        return [f"{id} has ended: {end_kind}"]
    launched = [it for it in known if it.state == "launched" and not it.retiring]
    have = sum(it.role == "worker" for it in launched)
    heads = len(launched) - have
    complaints = [] if have == workers else [f"{id} has {have} workers, not {workers}"]
    return complaints if heads == 1 else [*complaints, f"{id} has {heads} schedulers"]


def _agreed(scene: Scene, site: Site, known: list[Row]) -> list[str]:
    """The cloud and the record say the same: each VM that exists is one living row's."""
    alive = {
        vm.id for vm in scene.account.alive(scene.clock()) if vm.installation == site.installation
    }
    used = [it.vm for it in known if it.state == "launched"]
    return [
        *(f"{id} runs and is nobody's" for id in sorted(alive - set(used))),
        *(f"{id} is used and does not run" for id in sorted(set(used) - alive)),
        *(f"{id} is used twice" for id in sorted(set(used)) if used.count(id) > 1),
        *(f"{it.id} is still {it.state}" for it in known if it.state in ("intended", "released")),
    ]


def broken(scene: Scene, story: Story) -> list[str]:
    """What should never have been, even for a moment."""
    found = [*scene.complaints, *scene.account.incidents]
    installations = {it.installation for it in scene.sites}
    for vm in scene.account.vms.values():
        if vm.installation not in installations and not vm.ended(scene.clock()):
            found.append(f"{vm.id} runs and carries nobody's tag")
    for site in scene.sites:
        known = rows(site)
        mine = [vm for vm in scene.account.vms.values() if vm.installation == site.installation]
        found += _unrecorded(site, mine)
        found += _believed_too_soon(known, mine)
        found += _untold(site, known)
        launched = sum(it.launched_at is not None for it in known)
        if launched > story.most_vms:
            found.append(f"{launched} instances had a VM, {story.most_vms} were enough")
        # Then the cloud makes strays: of a batch that was given up, or had found no room before.
        late = {Fate.LATE_REQUEST, Fate.DUPLICATED} & {*scene.account.knobs.launches}
        most = at_once(mine)
        if story.at_once is not None and most > story.at_once and not late:
            found.append(f"{most} VMs ran at once, {story.at_once} were allowed")
        if len(mine) > story.most_vms and not late:
            found.append(f"{len(mine)} VMs were made, {story.most_vms} were enough")
    return found


def at_once(vms: list[SimVm]) -> int:
    """How many there ever were at the same time."""
    changes = sorted(
        [(it.created_at, 1) for it in vms]
        + [(it.ended_at, -1) for it in vms if it.ended_at is not None]
    )
    return max(itertools.accumulate(it for _, it in changes), default=0)


def _unrecorded(site: Site, mine: list[SimVm]) -> list[str]:
    batches = {it[0] for it in site.rows.execute("SELECT id FROM batch")}
    return [f"{vm.id} was never on record" for vm in mine if vm.batch not in batches]


def _believed_too_soon(known: list[Row], mine: list[SimVm]) -> list[str]:
    """Gone is seen. (A request that arrives after the release is another matter: it is swept.)"""
    by_id = {vm.id: vm for vm in mine}
    by_name = {vm.name: vm for vm in mine if vm.name}
    found = []
    for it in known:
        vm = by_id.get(it.vm) or by_name.get(it.id)
        if vm is None or it.gone_at is None or it.released_at is None:
            continue
        still = vm.ended_at is None or vm.ended_at > it.gone_at
        if still and vm.created_at <= it.released_at:
            found.append(f"{it.id} was believed gone while {vm.id} ran")
    return found


def _untold(site: Site, known: list[Row]) -> list[str]:
    """Every instance can be read back from the events."""
    told = set(site.rows.execute("SELECT instance, kind FROM event WHERE instance IS NOT NULL"))
    intents = {
        it[0] for it in site.rows.execute("SELECT after FROM event WHERE kind = 'batch.intended'")
    }
    found = [f"{it.id}: no event of its intent" for it in known if it.batch not in intents]
    for it in known:
        passed = (
            ("instance.launched", it.launched_at),
            ("instance.released", it.released_at),
            ("instance.gone", it.gone_at),
        )
        found += [
            f"{it.id}: no event {kind}"
            for kind, at in passed
            if at is not None and (it.id, kind) not in told
        ]
    return found

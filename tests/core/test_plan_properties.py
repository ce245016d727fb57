"""Properties of the plan, looked for in random lives of one cluster on a cloud with random faults.

Safety must hold after every pass, wherever the hands were cut off; liveness, once the cloud is kind
and nobody asks for anything else.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shoal.clouds.sim_account import SimAccount
from shoal.clouds.sim_clock import BEGAN, VirtualClock
from shoal.clouds.sim_knobs import Fate, Knobs, Pool, Step, VmFate
from shoal.core import actions as do
from shoal.core.lifecycle import ACTIVE, EDGES
from shoal.core.records import EndKind, Timing
from shoal.wire.specs import Role, SpotPolicy, Workers
from shoal.wire.views import InstanceState
from tests.core.model import ME, Model, replace
from tests.core.worlds import cluster

LAG_S = 20.0
TIMING = Timing(
    listing_lag_s=LAG_S + 1,
    boot_timeout_s=60.0,
    drain_timeout_s=60.0,
    capacity_mark_s=30.0,
    preempted_mark_s=40.0,
    retry_most_s=20.0,
)

fates = st.sampled_from([Fate.FINE, Fate.FINE, Fate.LOST_REQUEST, Fate.LOST_ANSWER])
vm_fates = st.sampled_from(
    [
        VmFate(),
        VmFate(),
        VmFate(),
        VmFate(boots=False),
        VmFate(failure="disk full"),
        VmFate(dies_after_s=45.0),
        VmFate(preempted_after_s=70.0),
    ]
)
knobs = st.builds(
    Knobs,
    named=st.booleans(),
    appear_lag_s=st.sampled_from([0.0, LAG_S]),
    vanish_lag_s=st.sampled_from([0.0, LAG_S]),
    ending_s=st.sampled_from([0.0, 8.0]),
    address_after_s=st.sampled_from([0.0, 15.0]),
    launches=st.lists(fates, min_size=1, max_size=4).map(tuple),
    vms=st.lists(vm_fates, min_size=1, max_size=5).map(tuple),
    timing=st.just(TIMING),
)
capacities = st.sampled_from([0, 1, 2, 50])
moves = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 60)),
        st.tuples(st.just("scale"), st.integers(0, 5)),
        st.tuples(st.just("cut"), st.integers(0, 6)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("end"), st.just(0)),
    ),
    max_size=14,
)


@given(knobs=knobs, capacity=st.tuples(*[capacities] * 4), moves=moves)
def test_safety_holds_after_every_pass_and_what_is_asked_is_reached_in_the_end(
    knobs: Knobs, capacity: tuple[int, ...], moves: list[tuple[str, int]]
) -> None:
    life = Life(knobs, capacity)
    for what, number in moves:
        life.live(what, number)
    life.be_kind()
    for _ in range(60):
        life.live("wait", 15)
    life.check_reached()


class Life:
    """One cluster of two workers, and what befalls it."""

    def __init__(self, knobs: Knobs, capacity: tuple[int, ...]) -> None:
        kinds = [(zone, spot) for zone in ("z1", "z2") for spot in (False, True)]
        self.pools = [
            Pool("r1", zone, "m4", spot, capacity=(Step(0.0, count),))
            for (zone, spot), count in zip(kinds, capacity, strict=True)
        ]
        self.clock = VirtualClock()
        self.account = SimAccount(tuple(self.pools), BEGAN, knobs)
        asked = cluster(2, created_at=BEGAN, spot_policy=SpotPolicy.SPOT_WITH_FALLBACK)
        self.model = Model(self.account, self.clock, asked)

    def live(self, what: str, number: int) -> None:
        model = self.model
        match what:
            case "wait":
                self.clock.advance(number)
            case "scale":
                workers = Workers(number, number, number)
                model._ask(spec=replace(model.cluster.spec, workers=workers))
            case "restart":
                model.trusted_since = self.clock()
            case "end":
                end = do.End(model.cluster.id, EndKind.USER, "closed by ada")
                model.perform(end)
        model.hear()
        before = dict(model.rows)
        done = model.run_pass(stop_after=number if what == "cut" else None)
        self._check_edges(before)
        self._check_actions(done)
        self._check_vms()

    def be_kind(self) -> None:
        """From now on the cloud has room, answers, and keeps what it gave."""
        good = msgspec.structs.replace(
            self.account.knobs, launches=(Fate.FINE,), vms=(VmFate(),), quota=None
        )
        self.account.knobs = good
        for pool in self.pools:
            key = (pool.zone, pool.machine_type, pool.spot)
            self.account.set_capacity(key, 50, self.clock())

    def check_reached(self) -> None:
        asked, now = self.model.cluster, self.clock()
        alive = {it.id for it in self.account.alive(now)}
        active = [it for it in self.model.rows.values() if it.state in ACTIVE]
        if asked.ended_at is not None:
            assert asked.settled_at is not None
            assert not alive
            return
        assert {it.vm for it in active} == alive
        roles = [it.role for it in active if it.retiring_since is None]
        assert roles.count(Role.SCHEDULER) == 1
        assert roles.count(Role.WORKER) == asked.spec.workers.wanted

    def _check_edges(self, before: dict[object, object]) -> None:
        """Rows only move along the edges (several in one pass at most)."""
        order = [InstanceState.INTENDED, InstanceState.LAUNCHED]
        order += [InstanceState.RELEASED, InstanceState.GONE]
        for id, it in self.model.rows.items():
            was = before.get(id)
            if was is not None:
                assert order.index(was.state) <= order.index(it.state)  # type: ignore[attr-defined]
        assert {edge for pair in EDGES for edge in pair} == set(order)

    def _check_actions(self, done: list[do.Action]) -> None:
        rows = self.model.rows
        used = {it.vm for it in rows.values() if it.state in ACTIVE and it.vm}
        for action in done:
            assert action.why
            if isinstance(action, do.Terminate | do.Sweep):
                assert not used & {it.id for it in action.vms}, "a VM in use was ended"
            if isinstance(action, do.Sweep):
                asked = {it.batch for it in action.vms}
                assert asked <= set(self.model.batches), "a VM that was never asked for"

    def _check_vms(self) -> None:
        """Each VM that ever was is on record, one instance's at most; none is believed gone."""
        now, rows = self.clock(), self.model.rows.values()
        bound = [it.vm for it in rows if it.vm]
        assert len(bound) == len(set(bound))
        for vm in self.account.vms.values():
            assert vm.batch in self.model.batches
            assert vm.installation == ME
        for it in rows:
            if it.state is InstanceState.GONE and it.vm:
                assert self.account.vms[it.vm].ended(now), f"{it.id} is believed gone and runs"
        active = [it for it in rows if it.state in ACTIVE and it.retiring_since is None]
        heads = [it for it in active if it.role is Role.SCHEDULER]
        assert len(heads) <= 1


def test_a_life_without_any_fault_takes_no_vm_too_many() -> None:
    life = Life(Knobs(timing=TIMING), (50, 50, 50, 50))
    for _ in range(20):
        life.live("wait", 15)
    life.check_reached()
    assert len(life.account.vms) == 3
    assert timedelta(seconds=300) == life.clock() - BEGAN

"""The stop rules, as a table; and that none ends a cluster that is in use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.agent.messages import Serving
from shoal.agent.stop_rules import Since, Situation, fresh, since, verdict
from shoal.wire.specs import StopRules

RULES = StopRules(
    idle_timeout_s=100,
    no_client_timeout_s=20,
    no_workers_timeout_s=50,
    cluster_timeout_s=1000,
    server_silence_timeout_s=300,
)
OFF = StopRules(None, None, None, None, None)
LONG = 1e9


@pytest.mark.parametrize(
    ("seen", "rule"),
    [
        (Situation(age_s=0), None),
        (Situation(age_s=999), None),
        (Situation(age_s=1000, tasks=5), "cluster_timeout"),
        (Situation(age_s=200, idle_s=99), None),
        (Situation(age_s=200, idle_s=100), "idle_timeout"),
        (Situation(age_s=200, no_clients_s=20, tasks=5), "no_client_timeout"),
        (Situation(age_s=200, no_workers_s=50, tasks=5), "no_workers_timeout"),
        (Situation(age_s=900, server_silent_s=300), "server_silence_timeout"),
        (Situation(age_s=900, server_silent_s=300, tasks=1), None),
        (Situation(1000, 100, 20, 50, 300), "cluster_timeout"),
    ],
)
def test_a_cluster_ends_by_the_rule_that_it_meets(seen: Situation, rule: str | None) -> None:
    found = verdict(RULES, seen)
    assert (found and found.rule) == rule


def test_a_rule_says_for_how_long() -> None:
    found = verdict(RULES, Situation(age_s=400, idle_s=300))
    assert found is not None
    assert found.why == "it has had nothing to do for 5 minutes"


def test_rules_that_are_off_end_nothing() -> None:
    assert verdict(OFF, Situation(LONG, LONG, LONG, LONG, LONG)) is None


durations = st.none() | st.floats(0, 2000)


@given(durations, durations, durations, st.floats(0, 999), st.integers(1, 9))
def test_safety_a_cluster_in_use_goes_on(
    idle: float | None, no_clients: float | None, no_workers: float | None, age: float, tasks: int
) -> None:
    """In use: below its limit of age, someone connected, workers there, something to do."""
    seen = Situation(age, idle, no_clients, no_workers, server_silent_s=LONG, tasks=tasks)
    in_use = idle is None and no_clients is None and no_workers is None
    if in_use:
        assert verdict(RULES, seen) is None


looks = st.builds(
    Serving,
    address=st.just("tls://scheduler"),
    clients=st.integers(0, 1),
    workers=st.integers(0, 1),
    idle=st.booleans(),
)


@given(st.lists(st.tuples(st.none() | looks, st.floats(0, 60)), max_size=30))
def test_a_state_is_as_old_as_the_first_of_the_looks_that_saw_it_without_a_break(
    seen: list[tuple[Serving | None, float]],
) -> None:
    now, began, state = 0.0, None, Since()
    for told, step in seen:
        now += step
        state = since(state, told, now)
        holds = told is not None and told.idle
        began = (now if began is None else began) if holds else None
        assert state.idle_s == began


def test_a_scheduler_that_has_fallen_silent_is_taken_for_busy() -> None:
    told = Serving("tls://scheduler", idle=True)
    assert fresh(told, 5.0) == told
    assert fresh(told, 120.0) is None


def test_a_scheduler_that_is_not_up_is_neither_idle_nor_lonely() -> None:
    before = since(Since(), Serving("tls://scheduler", idle=True), 5.0)
    assert before == Since(5.0, 5.0, 5.0)
    assert since(before, None, 6.0) == Since()

"""When a Dask process that ended is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.agent.restarts import (
    MOST_CRASHES,
    WINDOW_S,
    Exit,
    GiveUp,
    Restart,
    still_counting,
    verdict,
)


def crashes(*at: float) -> list[Exit]:
    return [Exit(it, clean=False, why="killed by signal 11") for it in at]


def delay_s(exits: list[Exit]) -> float:
    found = verdict(exits)
    assert isinstance(found, Restart)
    return found.at_s - exits[-1].at_s


def test_a_first_crash_is_tried_again_soon_and_later_ones_more_slowly() -> None:
    delays = [delay_s(crashes(*range(100, 100 + n))) for n in range(1, MOST_CRASHES)]
    assert delays[0] < 0.5
    assert delays == sorted(set(delays))


def test_what_crashes_again_and_again_is_given_up_with_the_last_reason() -> None:
    found = verdict(crashes(1, 2, 3, 4, 5))
    assert isinstance(found, GiveUp)
    assert "5 times" in found.why
    assert "signal 11" in found.why


def test_crashes_of_long_ago_do_not_count() -> None:
    assert isinstance(verdict(crashes(1, 2, 3, 4, 4 + WINDOW_S + 1)), Restart)


def test_a_clean_end_is_no_fault_however_often_it_happens() -> None:
    often = [Exit(100 + n / 10, clean=True) for n in range(50)]
    assert delay_s(often[:1]) < 0.5
    assert delay_s(often) == 1.0


def test_a_worker_that_dask_retired_waits_for_the_order_that_may_say_so() -> None:
    assert delay_s([Exit(5.0, clean=True, retired=True)]) == 2.0


# Quarters of a second, which add up without rounding.
steps_s = st.integers(0, 1600).map(lambda quarters: quarters / 4)
exits = st.lists(st.tuples(steps_s, st.booleans(), st.booleans()), min_size=1, max_size=20)


@given(exits)
def test_liveness_what_is_not_given_up_is_started_within_ten_seconds(
    steps: list[tuple[float, bool, bool]],
) -> None:
    now, past = 0.0, []
    for step, clean, retired in steps:
        now += step
        past.append(Exit(now, clean, retired=retired and clean))
        found = verdict(past)
        if isinstance(found, Restart):
            assert 0 <= found.at_s - now <= 10.0
        assert found == verdict(still_counting(past))  # nothing that matters is forgotten

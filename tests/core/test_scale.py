from __future__ import annotations

import pytest

from shoal.core.scale import adapted, leaving
from shoal.wire.specs import Workers
from shoal.wire.views import InstanceState, Stage
from tests.core.worlds import NOW, ago, cluster, head, seen, worker


@pytest.mark.parametrize(
    ("workers", "target", "since_s", "wanted"),
    [
        ((1, 4, 10), 6, 0, 6),  # up at once
        ((1, 4, 10), 99, 0, 10),  # not above the maximum
        ((1, 4, 10), 2, 29, None),  # down only when it lasts
        ((1, 4, 10), 2, 30, 2),
        ((3, 4, 10), 0, 60, 3),  # not below the minimum
        ((1, 4, 10), 4, 60, None),  # as it is
        ((1, 1, 10), 0, 60, None),  # as it is, by the minimum
        ((4, 4, 4), 9, 60, None),  # fixed: nobody asks Dask
        ((1, 4, 10), None, 60, None),
    ],
)
def test_a_target_is_followed(
    workers: tuple[int, int, int], target: int | None, since_s: float, wanted: int | None
) -> None:
    asked = cluster(workers=Workers(*workers))
    told = head(adaptive_target=target, adaptive_peak=workers[1], adaptive_since=ago(since_s))
    assert adapted(asked, told, NOW) == wanted


def test_without_a_head_nothing_changes() -> None:
    assert adapted(cluster(workers=Workers(1, 2, 9)), None, NOW) is None


def test_those_that_never_worked_leave_first_and_the_newest_of_them() -> None:
    intended = worker(2, state=InstanceState.INTENDED)
    old, new, ready = worker(3), worker(4), worker(5)
    told = {ready.id: seen(ready), old.id: seen(old, Stage.PREPARING)}
    order = [intended, new, old]
    for count in (1, 2, 3):
        gone = leaving([ready, old, new, intended], count, told, None)
        assert set(gone.release) == {it.id for it in order[:count]}
        assert gone.retire == ()


def test_of_those_at_work_dask_says_who_is_cheapest_to_close() -> None:
    first, second, third = worker(2), worker(3), worker(4)
    told = {it.id: seen(it) for it in (first, second, third)}
    gone = leaving([first, second, third], 2, told, head(closable=(second.id, first.id)))
    assert gone.release == ()
    assert gone.retire == (second.id, first.id)


def test_whom_dask_does_not_name_leaves_last() -> None:
    first, second = worker(2), worker(3)
    told = {it.id: seen(it) for it in (first, second)}
    assert leaving([first, second], 1, told, head(closable=(first.id,))).retire == (first.id,)

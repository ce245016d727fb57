"""The figures of benchmarks/reconciler.py that do not depend on the machine."""

from __future__ import annotations

import asyncio

import pytest
from benchmarks import reconciler

from shoal.core.actions import Retire
from shoal.core.provision import plan


@pytest.mark.long
def test_a_thousand_workers_take_few_calls() -> None:
    _, calls = asyncio.run(reconciler.all_launched(1000))
    assert calls <= 20


def test_a_plan_of_twenty_thousand_instances_does_what_is_asked_and_nothing_else() -> None:
    actions = plan(reconciler.full_world())
    assert [type(it) for it in actions] == [Retire] * 10
    assert {len(it.instances) for it in actions if isinstance(it, Retire)} == {50}

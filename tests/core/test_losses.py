"""A lost connection of a spot VM that the cloud does not have any more was a preemption."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shoal.core.losses import explained
from shoal.core.records import Instance
from shoal.wire.ids import BatchId, ClusterId, InstanceId
from shoal.wire.specs import Role
from shoal.wire.telemetry import Loss, WorkerEvent
from shoal.wire.views import InstanceState

NOW = datetime(2026, 11, 1, tzinfo=UTC)
VM = InstanceId("shoal-c-1")
LOST = WorkerEvent(NOW, VM, "tls://h:1", added=False, reason=Loss.CONNECTION)
TAKEN = Instance(
    VM, BatchId("c-b1"), ClusterId("c"), Role.WORKER, InstanceState.GONE, NOW, "", NOW,
    launched_at=NOW, released_at=NOW + timedelta(seconds=40), zone="us-1b", spot=True,
)  # fmt: skip


def reason(event: WorkerEvent = LOST, **changes: Any) -> Loss | None:
    [told] = explained([event], [msgspec.structs.replace(TAKEN, **changes)])
    return told.reason


def test_a_spot_vm_that_was_taken_back_was_preempted() -> None:
    [told] = explained([LOST], [TAKEN])
    assert (told.reason, told.detail) == (
        Loss.PREEMPTED,
        "the cloud took the spot VM in us-1b back",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"spot": False},
        {"released_at": None},
        {"released_at": NOW + timedelta(hours=1)},  # for another reason, later
        {"retiring_since": NOW},
        {"failed": True},
        {"id": InstanceId("another")},
    ],
    ids=str,
)
def test_everything_else_stays_a_lost_connection(changes: dict[str, Any]) -> None:
    assert reason(**changes) is Loss.CONNECTION


def test_a_reason_that_is_known_stays() -> None:
    assert reason(msgspec.structs.replace(LOST, reason=Loss.MEMORY)) is Loss.MEMORY

"""Lines of a cluster's processes by the names that `get_logs` gives them."""

from __future__ import annotations

import pytest
from fake_server import NOW

from shoal.client.log_places import Chosen
from shoal.wire.ids import InstanceId
from shoal.wire.views import LogLine

VM, GONE = InstanceId("shoal-c-2"), InstanceId("shoal-c-3")
ADDRESSES = {VM: "tls://10.0.0.2:1"}
ALL = Chosen(scheduler=True, workers=True, of_vms=frozenset({"agent", "kernel", "environment"}))
NONE = Chosen(scheduler=False, workers=False, of_vms=frozenset())
ONE = Chosen(scheduler=False, workers=frozenset(ADDRESSES.values()), of_vms=frozenset({"agent"}))


@pytest.mark.parametrize(
    ("process", "instance", "of_all", "of_one"),
    [
        ("scheduler", VM, "Scheduler", None),
        ("worker", VM, "tls://10.0.0.2:1", "tls://10.0.0.2:1"),
        ("worker", GONE, "shoal-c-3", None),
        ("agent", VM, "agent of shoal-c-2", "agent of shoal-c-2"),
        ("kernel", GONE, "kernel of shoal-c-3", None),
        ("environment", GONE, "environment of shoal-c-3", None),
    ],
)
def test_each_line_has_its_place(
    process: str, instance: InstanceId, of_all: str, of_one: str | None
) -> None:
    line = LogLine(NOW, instance, process, "text")
    assert ALL.place(line, ADDRESSES) == of_all
    assert ONE.place(line, ADDRESSES) == of_one
    assert NONE.place(line, ADDRESSES) is None

"""Under which name `Cluster.get_logs` gives a line: Dask's names, and Shoal's own."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shoal.wire.ids import InstanceId
from shoal.wire.views import LogLine


class Chosen(msgspec.Struct, frozen=True):
    """What was asked for."""

    scheduler: bool
    workers: bool | frozenset[str]  # all, none, or these addresses
    of_vms: frozenset[str]  # "agent", "kernel", "environment"

    def place(self, line: LogLine, addresses: Mapping[InstanceId, str]) -> str | None:
        """None: it was not asked for. `addresses`: of workers, by their VM."""
        if line.process == "scheduler":
            return "Scheduler" if self.scheduler else None
        if line.process == "worker":
            address = addresses.get(line.instance, line.instance)
            if isinstance(self.workers, bool):
                return address if self.workers else None
            return address if address in self.workers else None
        return f"{line.process} of {line.instance}" if line.process in self.of_vms else None

"""What a VM is told about itself, by the environment of the agent's process.

The boot document is the same for a whole batch; what tells its VMs apart comes from the cloud. The
local provider sets these variables, cloud-init later.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from shoal.wire.ids import EnvironmentId, InstanceId

_LEAST_RESERVE_BYTES = 64 * 2**20
_RESERVE_FRACTION = 0.03


class Vm(msgspec.Struct, frozen=True):
    name: InstanceId
    directory: Path  # 0700, its own
    host: str
    port: int  # of the agent; a worker's listens nowhere
    cpus: int
    memory_bytes: int  # 0: not known
    environments: Path  # realised ones: shared by the VMs of one machine, or its own prefixes
    bundle: Path | None = None  # what its agent was made of, for other VMs of the cluster
    scratch: Path | None = None  # where a disk goes that is quick and does not last
    cloud: str = ""  # whose metadata service tells of preemptions; empty: nobody's
    metadata: str = ""  # its URL
    whole_machine: bool = True  # False: it shares the machine it runs on with others

    @property
    def identity(self) -> Path:
        return self.directory / "identity"

    @property
    def wheels(self) -> Path:
        return self.directory / "wheels"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def dask(self) -> Path:
        """Where Dask's processes work and spill."""
        return (self.scratch or self.directory) / "dask"

    @property
    def orders_file(self) -> Path:
        return self.directory / "orders.json"

    def prefix(self, environment: EnvironmentId) -> Path:
        return self.directory / "prefixes" / environment

    def dask_memory_bytes(self) -> int:
        """What a Dask worker may use: all but what the agent needs to stay alive. 0: not known."""
        reserve = max(_LEAST_RESERVE_BYTES, int(self.memory_bytes * _RESERVE_FRACTION))
        return max(self.memory_bytes - reserve, self.memory_bytes // 2)


def from_environment(environ: Mapping[str, str], group_limit_bytes: int | None = None) -> Vm:
    """`group_limit_bytes`: what the kernel allows, which may be less than what the cloud says."""
    host, _, port = environ["SHOAL_VM_ADDRESS"].rpartition(":")
    directory = Path(environ["SHOAL_VM_DIR"])
    return Vm(
        name=InstanceId(environ["SHOAL_VM_NAME"]),
        directory=directory,
        host=host.strip("[]"),
        port=int(port),
        cpus=int(environ["SHOAL_VM_CPUS"]),
        memory_bytes=_least(int(environ["SHOAL_VM_MEMORY_BYTES"]), group_limit_bytes or 0),
        environments=Path(environ.get("SHOAL_ENVIRONMENTS") or directory / "prefixes"),
        bundle=Path(environ["SHOAL_BUNDLE"]) if "SHOAL_BUNDLE" in environ else None,
        scratch=Path(environ["SHOAL_VM_SCRATCH"]) if environ.get("SHOAL_VM_SCRATCH") else None,
        cloud=environ.get("SHOAL_VM_CLOUD", ""),
        metadata=environ.get("SHOAL_VM_METADATA", ""),
        whole_machine=environ.get("SHOAL_VM_END") != "exit",
    )


def _least(*known_bytes: int) -> int:
    return min((it for it in known_bytes if it), default=0)

"""What a user asks for: the specification of a cluster, complete and free of defaults to look up.

The client fills in what API.md promises; the server checks it again. A spec never holds a status.
Sizes are bytes, durations seconds, vCPU and memory inclusive ranges.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from shoal.wire.ids import EnvironmentId


class Cloud(enum.StrEnum):
    LOCAL = "local"
    SIM = "sim"
    GCP = "gcp"
    AWS = "aws"
    AZURE = "azure"
    WATCHED = "watched"  # a Dask cluster that Shoal did not start: no VM of it is ours


NOT_TO_BE_ASKED_FOR = {  # why a cluster cannot be asked for there, and what to do instead
    Cloud.SIM: (
        "The cloud sim is one in memory, for Shoal's own tests: it has no machine to compute on.",
        'Take this machine: cloud="local". It bills nothing, and knows limits and costs, too.',
    ),
    Cloud.WATCHED: (
        "A watched cluster is one that Shoal did not start, so none can be asked for.",
        "To record one that is running: shoal.watch(client).",
    ),
}


class SpotPolicy(enum.StrEnum):
    ON_DEMAND = "on-demand"
    SPOT = "spot"
    SPOT_WITH_FALLBACK = "spot_with_fallback"


class Role(enum.StrEnum):
    SCHEDULER = "scheduler"
    WORKER = "worker"


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`least` ≤ x ≤ `most`."""

    least: int
    most: int


class Hardware(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one VM must offer. `vm_types` (best first) excludes `cpu` and `memory_bytes`."""

    cpu: Range | None = None
    memory_bytes: Range | None = None
    vm_types: tuple[str, ...] = ()
    gpu: int = 0
    gpu_type: str | None = None
    arm: bool = False
    disk_gib: int | None = None  # None: 30–100 GiB, growing with memory


class Workers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many: `minimum` ≤ `wanted` ≤ `maximum`. Equal ends: fixed; else Dask's load decides."""

    minimum: int
    wanted: int
    maximum: int

    @property
    def adaptive(self) -> bool:
        return self.minimum != self.maximum


class StopRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a cluster ends without being told; `None` switches a rule off. Kept by the head."""

    idle_timeout_s: float | None = 1200.0
    no_client_timeout_s: float | None = 120.0
    no_workers_timeout_s: float | None = 1200.0
    cluster_timeout_s: float | None = None
    server_silence_timeout_s: float | None = 3600.0  # and nothing running


class DaskOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Handed to Dask as they are. `worker_class` is a dotted path; `environ` is not for secrets."""

    environ: dict[str, str] = {}
    worker_options: dict[str, Any] = {}
    scheduler_options: dict[str, Any] = {}
    worker_class: str = "distributed.Worker"


class ClusterSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    cloud: Cloud
    workers: Workers
    environment: EnvironmentId
    region: str | None = None
    zone: str | None = None
    worker: Hardware = Hardware()
    scheduler: Hardware = Hardware()
    spot_policy: SpotPolicy = SpotPolicy.ON_DEMAND
    use_best_zone: bool = True
    allow_cross_zone: bool = False
    dask: DaskOptions = DaskOptions()
    stop: StopRules = StopRules()
    creation_timeout_s: float = 1200.0
    tags: dict[str, str] = {}
    allow_ingress_from: str = "me"
    ingress: tuple[str, ...] = ()  # CIDRs: from the session what it is seen as, then who may
    python_hint: str = ""  # an interpreter on this machine that the local cloud's VMs may build on

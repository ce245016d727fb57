"""What the agent and its Dask child tell each other: one JSON object a line.

The other end is shoal/plugins/pipe.py, which stands alone and knows these by their fields. States,
not events: the newest message of a kind says all. Only telemetry comes in batches, each once.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from shoal.wire.ids import InstanceId
from shoal.wire.telemetry import Item, WorkerUse


class ConfigureScheduler(msgspec.Struct, frozen=True, tag_field="op", tag="scheduler"):
    host: str
    port: int
    dashboard_port: int
    security: dict[str, Any]
    options: dict[str, Any]
    minimum: int


class ConfigureWorker(msgspec.Struct, frozen=True, tag_field="op", tag="worker"):
    scheduler: str
    name: InstanceId
    host: str
    nthreads: int
    memory_limit_bytes: int
    local_directory: str
    security: dict[str, Any]
    worker_class: str
    options: dict[str, Any]
    cloud: str = ""  # whose VM this is, and where its metadata service listens
    metadata: str = ""


class Retire(msgspec.Struct, frozen=True, tag_field="op", tag="retire"):
    """To the scheduler: all workers that are to leave, and how many are kept in any case; and those
    whose agents wait to start them anew, some at a time."""

    names: tuple[InstanceId, ...]
    minimum: int
    renew: tuple[InstanceId, ...] = ()


class Stop(msgspec.Struct, frozen=True, tag_field="op", tag="stop"):
    pass


class Listening(msgspec.Struct, frozen=True, tag_field="op", tag="listening"):
    """From a worker that the scheduler has taken in."""

    address: str
    memory_limit_bytes: int = 0
    terminate_fraction: float = 0.0  # of the limit; 0: never


class Serving(msgspec.Struct, frozen=True, tag_field="op", tag="serving"):
    """From the scheduler, whenever something changed and once a second."""

    address: str
    dashboard_address: str = ""
    clients: int = 0
    workers: int = 0
    tasks: int = 0
    idle: bool = False
    adaptive_target: int | None = None
    closable: tuple[InstanceId, ...] = ()


class Telemetry(msgspec.Struct, frozen=True, tag_field="op", tag="telemetry"):
    """From the scheduler, once a second at most and at once for some news; wire/telemetry.py."""

    items: tuple[Item, ...] = ()
    uses: dict[str, WorkerUse] = {}  # by worker
    dropped: int = 0


class Retired(msgspec.Struct, frozen=True, tag_field="op", tag="retired"):
    """From a worker that the scheduler has retired, then closed."""


class Failed(msgspec.Struct, frozen=True, tag_field="op", tag="failed"):
    """It cannot be started as asked, and trying again would not help."""

    text: str


Configure: TypeAlias = ConfigureScheduler | ConfigureWorker
Command: TypeAlias = Configure | Retire | Stop
Told: TypeAlias = Listening | Serving | Telemetry | Retired | Failed

read_told = msgspec.json.Decoder(Told).decode

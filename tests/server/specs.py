"""A cluster that may be asked for, and its environment."""

from __future__ import annotations

import msgspec

from shoal.wire.environments import Manifest
from shoal.wire.ids import EnvironmentId
from shoal.wire.specs import Cloud, ClusterSpec, Workers

ENVIRONMENT = Manifest(EnvironmentId("env-1"), "lock-version = '1.0'\n", "3.11.7", "x")


def a_spec(name: str = "etl", **changes: object) -> ClusterSpec:
    made = ClusterSpec(name, Cloud.SIM, Workers(2, 2, 2), ENVIRONMENT.id)
    return msgspec.structs.replace(made, **changes)

"""Bodies of the API's requests."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shoal.wire.ids import EnvironmentId, UserName, WorkspaceName
from shoal.wire.specs import ClusterSpec, Workers


class CreateCluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`join=True`: a running cluster of that name in the workspace is returned instead."""

    spec: ClusterSpec
    join: bool = True


class PreviewCluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As CreateCluster; the environment and who may reach it do not matter yet."""

    spec: ClusterSpec


class ScaleCluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    workers: Workers


class StopCluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str = "asked by the user"


class UpdateEnvironment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Re-sync a running cluster to another environment, by the difference."""

    environment: str


class SaveEnvironment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    environment: EnvironmentId  # registered, with all its wheels


class CreateToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: UserName
    workspace: WorkspaceName
    scopes: tuple[str, ...] = ("clusters",)
    expires_at: datetime | None = None


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A running cluster of that name that is watched already is gone on with."""

    name: str
    scheduler: str  # Dask's own id of the scheduler: two of a name are not the same cluster
    tags: dict[str, str] = {}

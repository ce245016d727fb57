"""Names of things, as types: an id of one kind cannot be passed where another is meant.

Ids are derived wherever they can be. A cluster's id is random; a batch is the n-th batch of its
cluster and an instance the n-th instance, so that two reconcilers that decide the same thing at
the same time write the same primary key, and one of them is told.
"""

from __future__ import annotations

from typing import NewType

ClusterId = NewType("ClusterId", str)  # "c-" and 10 of a-z2-7
BatchId = NewType("BatchId", str)  # "<cluster id>-b<n>": the idempotency token
InstanceId = NewType("InstanceId", str)  # "shoal-<cluster id>-<n>": the VM's name, ≤ 63 characters
EnvironmentId = NewType("EnvironmentId", str)  # "env-" and 32 hex digits of its content
InstallationId = NewType("InstallationId", str)  # "i-" and 10 of a-z2-7: one control plane's record
WorkspaceName = NewType("WorkspaceName", str)
UserName = NewType("UserName", str)
EventSeq = NewType("EventSeq", int)  # rises with every event; a cursor for readers


def batch_id(cluster: ClusterId, number: int) -> BatchId:
    return BatchId(f"{cluster}-b{number}")


def instance_id(cluster: ClusterId, number: int) -> InstanceId:
    return InstanceId(f"shoal-{cluster}-{number}")

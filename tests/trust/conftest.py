"""The head of a cluster, and a worker that it signed."""

from __future__ import annotations

import pytest
from two_clusters import CLUSTER, CREATED_AT, KEY, join

from shoal.trust import authority
from shoal.trust.identities import HeadIdentity, WorkerIdentity


@pytest.fixture(scope="session")
def head() -> HeadIdentity:
    return authority.head_identity(KEY, CLUSTER, CREATED_AT)


@pytest.fixture(scope="session")
def worker(head: HeadIdentity) -> WorkerIdentity:
    return join(head, 7)

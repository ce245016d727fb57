from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.vms import base, namespaces
from tests.vms.fabric import Fabric, fabric


@pytest.fixture(scope="session")
def possible() -> None:
    """Skips, with the reason, where no VM can be made. CI has the programs (.ci/run)."""
    missing = namespaces.missing()
    if missing and os.environ.get("CI") and os.geteuid() == 0:
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if reason := namespaces.forbidden(base.cache()):
        pytest.skip(reason)


@pytest.fixture(scope="module")
def network(possible: None) -> Iterator[Fabric]:
    with fabric() as made:
        yield made

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.vms import namespaces
from tests.vms.fabric import Fabric, fabric


@pytest.fixture(scope="session")
def possible() -> None:
    """Skips, with the reason, where no VM can be made. CI says whether that is a failure."""
    reason = namespaces.why_not()
    if reason and os.environ.get("SHOAL_TEST_VMS") == "required":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def network(possible: None) -> Iterator[Fabric]:
    with fabric() as made:
        yield made

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vms.fabric import Fabric, fabric
from tests.vms.possible import skip_where_impossible


@pytest.fixture(scope="session")
def possible() -> None:
    skip_where_impossible()


@pytest.fixture(scope="module")
def network(possible: None) -> Iterator[Fabric]:
    with fabric() as made:
        yield made

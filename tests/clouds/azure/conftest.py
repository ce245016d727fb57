"""A subscription, its double, and batches to launch in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds.azure.rig import Rig
from tests.doubles.azure.arm import Arm
from tests.doubles.azure.server import AzureDouble, prepared


@pytest.fixture
def arm() -> Arm:
    return prepared(Arm())


@pytest.fixture
def rig(arm: Arm, tmp_path: Path) -> Iterator[Rig]:
    """At the end, all that the double said was well-formed by the vendor's own types."""
    with AzureDouble(arm, tmp_path) as azure:
        yield Rig(azure)
    assert arm.faults == []

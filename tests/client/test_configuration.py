"""Everything that can be set has a key, a default, and a line in the reference."""

from __future__ import annotations

import re
from pathlib import Path

import dask
import pytest

from shoal.client import configuration
from shoal.client.arguments import Options

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_every_argument_of_cluster_has_a_key_and_a_default() -> None:
    assert {*Options.__annotations__, "name"} <= set(configuration.names())


@pytest.mark.parametrize("name", sorted({*Options.__annotations__, "name"}))
def test_every_argument_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in (REFERENCE / "cluster.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", configuration.names())
def test_every_key_is_in_the_reference(name: str) -> None:
    assert f"`{configuration.key(name)}`" in (REFERENCE / "configuration.md").read_text("utf-8")


def test_nothing_in_the_reference_is_unknown() -> None:
    words = (REFERENCE / "configuration.md").read_text("utf-8").split("`")[1::2]
    keys = {word for word in words if re.fullmatch(r"shoal\.[a-z-]+", word)}
    assert keys == {configuration.key(name) for name in configuration.names()}


def test_a_key_may_be_written_with_either_dash() -> None:
    with dask.config.set({"shoal.no_client_timeout": "5 s"}):
        assert configuration.value("no_client_timeout") == "5 s"

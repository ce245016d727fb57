"""Tests of the client: a fake server, and no configuration of the person who runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from fake_server import FakeServer


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture(autouse=True)
def _own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SHOAL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SHOAL_CONFIG_DIR", str(tmp_path / "config"))
    with dask.config.set({"shoal.server": None, "shoal.token": None}):
        yield

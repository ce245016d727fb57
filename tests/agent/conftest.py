"""An environment that this machine has already, and clusters that leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import rig
import uv

from shoal.wire.environments import Manifest
from shoal.wire.ids import EnvironmentId


class Environments:
    """The machine's store, with environments made by hand: Dask is that of the tests."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def make(self, name: str) -> Manifest:
        environment = EnvironmentId(f"env-{name}")
        made = self.store / environment
        uv_bin = uv.find_uv_bin()
        subprocess.run([uv_bin, "venv", "-q", "--python", sys.executable, made], check=True)
        [site] = made.glob("lib/python*/site-packages")
        (site / "tests.pth").write_text(sysconfig.get_path("purelib"))
        (made / ".compiled").touch()
        return Manifest(environment, "", "3.11", "here")


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    return Environments(tmp_path_factory.mktemp("environments"))


@pytest.fixture(scope="session")
def manifest(environments: Environments) -> Manifest:
    return environments.make("first")


@pytest.fixture(scope="session")
def second(environments: Environments) -> Manifest:
    return environments.make("second")


@pytest.fixture
def cluster(
    tmp_path: Path, manifest: Manifest, environments: Environments
) -> Iterator[rig.Cluster]:
    made = rig.Cluster(tmp_path / "vms", manifest, environments.store)
    try:
        yield made
    finally:
        made.kill()
        left = made.processes()
        for process in left:
            process.kill()
        print(made.text())  # shown when the test fails

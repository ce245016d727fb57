"""A region's machine types and zones, read from Azure's own list."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from shoal.clouds.azure import sizes
from shoal.clouds.azure.clients import Clients
from shoal.clouds.catalog import Catalog, files
from shoal.wire.specs import Cloud
from tests.clouds.azure.rig import NOW, Rig

TODAY = files.snapshot(Cloud.AZURE).as_of + timedelta(days=1)


def test_a_refresh_gives_offers_in_the_zones_of_each_size(rig: Rig, tmp_path: Path) -> None:
    clients = Clients(rig.account, clock=lambda: NOW, trust=rig.azure.trust)
    found = sizes.facts(clients, "eastus", TODAY)
    files.keep(tmp_path / "refreshed", "eastus", found)
    offers = Catalog(tmp_path / "refreshed").offers(Cloud.AZURE, "eastus")
    ours = {(it.zone, it.spot): it for it in offers if it.machine_type == "Standard_D4s_v5"}
    zones = ("eastus-1", "eastus-2", "eastus-3")
    assert set(ours) == {(zone, spot) for zone in zones for spot in (False, True)}
    assert ours["eastus-1", False].memory_bytes == 16 << 30
    arm = [it for it in offers if it.machine_type == "Standard_D4ps_v6"]
    assert {(it.zone, it.arch) for it in arm} == {("eastus-1", "aarch64")}
    (gpu, *_) = [it for it in offers if it.gpu]
    assert (gpu.gpu, gpu.gpu_type, gpu.vcpu) == (1, "H100", 40)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Standard_D16as_v5", "Das_v5"),
        ("Standard_F4s_v2", "Fs_v2"),
        ("Standard_B2ms", "Bms"),
        ("Standard_E32-8s_v5", "Es_v5"),
        ("Standard_NC40ads_H100_v5", "NCads_H100_v5"),
    ],
)
def test_the_family_is_the_name_without_its_size(name: str, family: str) -> None:
    assert sizes.family_of(name) == family

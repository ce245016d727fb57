"""Prices against a package that they did not come from: apache-libcloud's of Google and Azure.

(Its prices of EC2 are wrong, see the decision record; those of the other two are the vendors' own.)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import libcloud
import pytest

from shoal.clouds.catalog import Catalog, files
from shoal.wire.specs import Cloud


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    text = (Path(libcloud.__file__).parent / "data" / "pricing.json").read_text()
    told: dict[str, Any] = json.loads(text)["compute"]
    return told


def prices(cloud: Cloud, region: str) -> dict[str, float]:
    return {
        it.machine_type: it.price_uusd_per_hour / 1e6
        for it in Catalog().offers(cloud, region)
        if it.price_uusd_per_hour is not None and not it.spot
    }


def test_googles_machines_cost_their_cores_and_memory(theirs: dict[str, Any]) -> None:
    """The SKUs that libcloud has for us-central1 are those of us-east1 too."""

    def part(family: str, what: str) -> float:
        found: float = theirs["gce_instances"][family][what]["on_demand"]["us-central1"]["price"]
        return found

    types = {it.name: it for it in files.snapshot(Cloud.GCP).types}
    compared = 0
    for name, price in prices(Cloud.GCP, "us-east1").items():
        it = types[name]
        if it.burstable or it.family not in ("e2", "n2", "c2"):
            continue
        compared += 1
        expected = it.vcpu * part(it.family, "cpu") + it.memory_mib / 1024 * part(it.family, "ram")
        assert price == pytest.approx(expected, rel=0.01), name
    assert compared >= 8


@pytest.mark.parametrize("name", ["B1s", "B2s", "B2ms", "F2s_v2", "F4s_v2", "F8s_v2"])
def test_azures_prices_are_the_ones_of_the_other_package(theirs: dict[str, Any], name: str) -> None:
    told = theirs["azure_linux"][f"standard{name.lower().replace('_', '')}"]["eastus"]
    assert prices(Cloud.AZURE, "eastus")[f"Standard_{name}"] == pytest.approx(told, rel=0.01)

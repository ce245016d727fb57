"""VMs to be made by tests, one of each cloud."""

from __future__ import annotations

from tests.doubles.machines import Machine

_ZONES = {"gcp": "us-east1-b", "aws": "us-east-1a", "azure": "eastus-1"}
_IDS = {
    "gcp": "40000000000000{:02}",
    "aws": "i-000000000000000{:02}",
    "azure": "aaaaaaaa-1111-2222-3333-4444444444{:02}",
}
_TYPES = {"gcp": "n2-standard-4", "aws": "m7i.xlarge", "azure": "Standard_D4s_v5"}
_NETWORKS = {"gcp": "10.142.0", "aws": "172.31.16", "azure": "10.20.0"}


def machine(
    cloud: str, number: int, script: str, *, spot: bool = False, arch: str = "x86_64"
) -> Machine:
    return Machine(
        cloud=cloud,
        id=_IDS[cloud].format(number),
        name=f"quiet-{number}",
        zone=_ZONES[cloud],
        machine_type=_TYPES[cloud],
        arch=arch,
        user_data=f"#!/bin/sh\n{script}\n".encode(),
        address=f"{_NETWORKS[cloud]}.{number}",
        mac=f"02:00:0a:00:00:{number:02x}",
        spot=spot,
        tags={"shoal-cluster": "quiet"},
    )

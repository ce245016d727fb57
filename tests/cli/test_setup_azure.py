"""`shoal setup azure` and `shoal doctor azure` as a user runs them, against the double."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import in_a_process
from tests.doubles.azure.arm import Arm
from tests.doubles.azure.login import login
from tests.doubles.azure.server import TOKEN, AzureDouble

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PLACE = ("--owner", "ours", "--region", "eastus")


class Shoal:
    """The command, with a state directory of its own; `logged_in`: with the Azure CLI."""

    def __init__(self, double: AzureDouble, root: Path) -> None:
        self.arm, self.state = double.arm, root / "state"
        self._endpoint, self._root = double.account.endpoint, root
        self._login = login(root)

    def __call__(self, *arguments: str, logged_in: bool = True) -> subprocess.CompletedProcess[str]:
        mine = {**self._login, "SHOAL_STATE_DIR": str(self.state)}
        if not logged_in:
            mine["AZURE_CONFIG_DIR"] = str(self._root / "out")
        return in_a_process(arguments, {**os.environ, **mine})

    def setup(self, *arguments: str, logged_in: bool = True) -> subprocess.CompletedProcess[str]:
        endpoint = ("--set", f"endpoint={self._endpoint}")
        return self("setup", "azure", *PLACE, *endpoint, *arguments, logged_in=logged_in)


@pytest.fixture
def shoal(tmp_path: Path) -> Iterator[Shoal]:
    with AzureDouble(Arm(), tmp_path) as double:
        made = Shoal(double, tmp_path)
        try:
            yield made
        finally:
            made("server", "stop")
    assert double.arm.faults == []


def test_a_subscription_is_prepared_found_in_order_and_put_back(shoal: Shoal) -> None:
    made = shoal.setup("--yes")
    assert "Clusters can go to azure eastus now." in made.stdout + made.stderr
    again = shoal("setup", "azure", "--yes", "--json")
    told = json.loads(again.stdout)
    assert told["account"]["identity"].endswith("/shoal-vm")
    assert len(told["steps"]) == 4
    assert all(it["done"] for it in told["steps"])
    after = shoal("doctor", "azure")
    assert after.returncode == 0, after.stdout
    assert "quota: vCPU, on-demand in eastus" in after.stdout
    large = shoal("doctor", "azure", "--n-workers", "30", "--worker-cpu", "8")
    assert large.returncode == 1
    assert "Only 20 are left; the cluster takes 31." in large.stdout
    shoal.arm.knobs.denied = frozenset({"Microsoft.Compute/virtualMachines/delete"})
    lacking = shoal("doctor", "azure")
    assert lacking.returncode == 1
    assert "permission Microsoft.Compute/virtualMachines/delete" in lacking.stdout
    removed = shoal("setup", "azure", "--remove", "--yes")
    assert removed.returncode == 0, removed.stderr
    assert "removed  virtual network shoal-eastus" in removed.stdout
    assert "removed  resource group shoal" in removed.stdout
    assert not shoal.arm.resources
    files = (it for it in shoal.state.rglob("*") if it.is_file())
    assert not [it for it in files if TOKEN.encode() in it.read_bytes()]


def test_what_it_would_do_is_printed_and_nothing_is_done(shoal: Shoal) -> None:
    printed = shoal.setup("--print")
    assert printed.returncode == 0, printed.stderr
    commands = [it for it in printed.stdout.splitlines() if it.startswith("az ")]
    assert [it.split(" create ")[0] for it in commands] == [
        "az group",
        "az identity",
        "az network vnet",
        "az network nsg",
    ]
    assert '"Microsoft.Compute/virtualMachines/delete"' in printed.stdout
    assert not shoal.arm.resources


def test_a_subscription_without_a_login_is_not_prepared(shoal: Shoal) -> None:
    refused = shoal.setup("--yes", logged_in=False)
    assert refused.returncode != 0
    assert "az login" in refused.stderr
    assert not shoal.arm.resources

"""`shoal setup azure` and `shoal doctor azure` as a user runs them, against the double."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from running import in_a_process
from tests.doubles.azure.arm import SUBSCRIPTION, Arm
from tests.doubles.azure.server import TOKEN, AzureDouble

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PLACE = ("--owner", "ours", "--region", "eastus")


class Shoal:
    """The command, with a state directory of its own; `login`: with the Azure CLI logged in."""

    def __init__(self, double: AzureDouble, root: Path) -> None:
        self.arm, self.state = double.arm, root / "state"
        self._endpoint, self._root = double.account.endpoint, root
        for name in ("in", "out", "bin"):
            (root / name).mkdir()
        told = [{"id": SUBSCRIPTION, "name": "ours", "isDefault": True}]
        (root / "in" / "azureProfile.json").write_text(json.dumps({"subscriptions": told}))
        az = root / "bin" / "az"
        az.write_text(f"#!{sys.executable}\n{AZ.format(token=_token())}")
        az.chmod(0o700)

    def __call__(self, *arguments: str, login: bool = True) -> subprocess.CompletedProcess[str]:
        mine = {
            "SHOAL_STATE_DIR": str(self.state),
            "AZURE_CONFIG_DIR": str(self._root / ("in" if login else "out")),
            "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",  # no other login of this machine
            "PATH": f"{self._root / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "REQUESTS_CA_BUNDLE": str(self._root / "azure-ca.pem"),
        }
        return in_a_process(arguments, {**os.environ, **mine})

    def setup(self, *arguments: str, login: bool = True) -> subprocess.CompletedProcess[str]:
        endpoint = ("--set", f"endpoint={self._endpoint}")
        return self("setup", "azure", *PLACE, *endpoint, *arguments, login=login)


AZ = """\
# The Azure CLI, as its login is asked for a token.
import os, sys
if not os.path.exists(os.path.join(os.environ["AZURE_CONFIG_DIR"], "azureProfile.json")):
    sys.exit("Please run 'az login' to setup account.")
print('''{token}''')
"""


def _token() -> str:
    until = datetime.now(UTC) + timedelta(hours=1)
    return json.dumps(
        {
            "accessToken": TOKEN,
            "expiresOn": f"{until:%Y-%m-%d %H:%M:%S.%f}",
            "expires_on": int(until.timestamp()),
            "tokenType": "Bearer",
        }
    )


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
    refused = shoal.setup("--yes", login=False)
    assert refused.returncode != 0
    assert "az login" in refused.stderr
    assert not shoal.arm.resources

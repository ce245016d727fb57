"""`shoal setup gcp` and `shoal doctor gcp` as a user runs them, against the double."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import in_a_process
from tests.doubles.gcp.compute import Compute
from tests.doubles.gcp.login import login
from tests.doubles.gcp.server import GcpDouble

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

Run = Callable[..., subprocess.CompletedProcess[str]]
PLACE = ("--owner", "shoal-test", "--region", "us-east1")


class Shoal:
    """The command, with a state directory of its own; `login`: with one of the double's."""

    def __init__(self, double: GcpDouble, root: Path) -> None:
        self.compute, self.endpoint, self.state = double.compute, double.account.endpoint, root
        self._login = root / "login.json"
        self._login.write_text(json.dumps(login(self.endpoint)))

    def __call__(self, *arguments: str, login: bool = True) -> subprocess.CompletedProcess[str]:
        mine = {"SHOAL_STATE_DIR": str(self.state / "state"), "CLOUDSDK_CONFIG": str(self.state)}
        mine["GCE_METADATA_HOST"] = "127.0.0.1:1"  # no VM's own login either
        if login:
            mine["GOOGLE_APPLICATION_CREDENTIALS"] = str(self._login)
        return in_a_process(arguments, {**os.environ, **mine})

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        endpoint = ("--set", f"endpoint={self.endpoint}")
        return self("setup", "gcp", *PLACE, *endpoint, *arguments)


@pytest.fixture
def shoal(tmp_path: Path) -> Iterator[Shoal]:
    with GcpDouble(Compute()) as double:
        made = Shoal(double, tmp_path)
        try:
            yield made
        finally:
            made("server", "stop")
    assert double.faults == []


def test_a_project_is_prepared_found_in_order_and_put_back(shoal: Shoal) -> None:
    made = shoal.setup("--yes")
    assert "Clusters can go to gcp us-east1 now." in made.stdout + made.stderr
    assert len(shoal.compute.left()) == 4
    again = shoal("setup", "gcp", "--yes", "--json")
    told = json.loads(again.stdout)
    assert told["account"]["service_account"].startswith("shoal-vm@shoal-test.")
    assert all(it["done"] for it in told["steps"])
    after = shoal("doctor", "gcp")
    assert after.returncode == 0, after.stdout
    assert "quota CPUS in us-east1" in after.stdout
    shoal.compute.knobs.not_granted = frozenset({"iam.serviceAccounts.actAs"})
    lacking = shoal("doctor", "gcp")
    assert lacking.returncode == 1
    assert "lend VMs their own identity" in lacking.stdout
    shoal.compute.knobs.machine_types = {
        "us-east1-c": [{"name": "n1-standard-8", "guestCpus": 8, "memoryMb": 30720}]
    }
    offered = shoal("offers", "--cloud", "gcp", "--gpu-type", "T4", "--refresh")
    assert "n1-standard-8+1xt4" in offered.stdout, offered.stderr
    assert "types and 0 prices of today" in offered.stderr
    removed = shoal("setup", "gcp", "--remove", "--yes")
    assert removed.returncode == 0, removed.stderr
    assert "removed  identity shoal-vm@" in removed.stdout
    assert shoal.compute.left() == []
    files = (it for it in (shoal.state / "state").rglob("*") if it.is_file())
    assert not [it for it in files if b"PRIVATE KEY-----\\nMII" in it.read_bytes()]


def test_what_it_would_do_is_printed_without_any_login(shoal: Shoal) -> None:
    printed = shoal("setup", "gcp", *PLACE, "--print", login=False)
    assert printed.returncode == 0, printed.stderr
    assert "There is no login" in printed.stderr
    commands = [it for it in printed.stdout.splitlines() if it.startswith("gcloud ")]
    assert [it.split(" create ")[0] for it in commands] == [
        "gcloud iam service-accounts",
        "gcloud compute networks",
        "gcloud compute networks subnets",
        "gcloud compute firewall-rules",
    ]
    assert all("--description 'Made by shoal setup'" in it for it in commands)
    assert "- iam.serviceAccounts.actAs" in printed.stdout
    assert shoal.compute.calls == []


def test_a_project_without_a_login_is_not_prepared(shoal: Shoal) -> None:
    refused = shoal("setup", "gcp", *PLACE, "--yes", login=False)
    assert refused.returncode != 0
    assert "gcloud auth application-default login" in refused.stderr

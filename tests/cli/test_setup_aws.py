"""`shoal setup aws` and `shoal doctor aws` as a user runs them, against the double."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import in_a_process
from tests.doubles.aws.knobs import Knobs
from tests.doubles.aws.server import AwsDouble

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

Shoal = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shoal(tmp_path: Path) -> Iterator[Shoal]:
    """The command, with a login of the double's account and a state directory of its own."""
    with AwsDouble(Knobs(regions=("us-east-1",)), prepared=False) as double:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": double.account.endpoint,
            "AWS_ACCESS_KEY_ID": "of-the-double",
            "AWS_SECRET_ACCESS_KEY": "not-to-be-seen",
            "SHOAL_STATE_DIR": str(tmp_path / "state"),
        }

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return in_a_process(arguments, environment, 100)

        try:
            yield run
        finally:
            run("server", "stop")


def test_an_account_is_prepared_found_in_order_and_put_back(shoal: Shoal, tmp_path: Path) -> None:
    place = ("--region", "us-east-1")
    printed = shoal("setup", "aws", *place, "--print")
    assert printed.returncode == 0, printed.stderr
    assert "aws ec2 create-vpc" in printed.stdout
    assert '"ec2:CreateFleet"' in printed.stdout
    before = shoal("doctor", "aws", *place)
    assert before.returncode == 1
    assert "It is not there yet." in before.stdout
    made = shoal("setup", "aws", *place, "--yes")
    assert "Clusters can go to aws us-east-1 now." in made.stdout + made.stderr
    after = shoal("doctor", "aws", *place)
    assert after.returncode == 0, after.stdout
    assert shoal("setup", "aws", "--remove", "--yes").returncode == 0
    files = (it for it in (tmp_path / "state").rglob("*") if it.is_file())
    assert not [it for it in files if b"not-to-be-seen" in it.read_bytes()]

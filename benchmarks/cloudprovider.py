"""Calls to launch VMs on EC2: Shoal's provider and dask-cloudprovider's EC2Cluster, same double.

Both talk to moto behind our front, over HTTP. dask-cloudprovider hands out addresses that it dials
from here, so all of it runs in a network namespace without a way out, in which the scheduler that
EC2Cluster waits for is really started at the address that the double gave its VM. Without that it
would wait for ever after its first VM. Workers are VMs on record alone, on both sides.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import uv
from tests.clouds.aws.test_cloud import OURS, batch
from tests.doubles.aws.knobs import Knobs
from tests.doubles.aws.server import AwsDouble
from tests.doubles.machines import Machine

from benchmarks.table import Row
from shoal.clouds.aws.cloud import AwsCloud
from shoal.wire.specs import Role

HERE = Path(__file__).parent
COUNTS = (1, 10, 50)
THEIRS = """
import json, sys, time
from dask_cloudprovider.aws import EC2Cluster

asked = json.loads(sys.argv[1])
began = time.perf_counter()
with EC2Cluster(
    n_workers=asked.pop("count"), region="us-east-1", instance_type="m7i.xlarge", bootstrap=False,
    use_private_ip=True, security=False, **asked,
):
    print("SECONDS", time.perf_counter() - began, flush=True)
    sys.stdin.readline()
"""


def measure() -> list[Row]:
    if os.geteuid() != 0:
        print("  cloudprovider: left out, a network namespace needs root", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as directory:
        python = Path(directory) / "venv" / "bin" / "python"
        uv_bin = uv.find_uv_bin()
        made = [uv_bin, "venv", "--quiet", "--python", sys.executable, python.parents[1]]
        subprocess.run(made, check=True)
        fill = [uv_bin, "pip", "install", "--quiet", "--python", python, "dask-cloudprovider[aws]"]
        subprocess.run(fill, check=True)
        return [row for count in COUNTS for row in _rows(python, count)]


def _rows(python: Path, count: int) -> list[Row]:
    inside = ["unshare", "--net", sys.executable, "-m", "benchmarks.cloudprovider"]
    done = subprocess.run(
        [*inside, str(python), str(count)],
        cwd=HERE.parent,
        check=True,
        stdout=subprocess.PIPE,
        timeout=600,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return [
        Row(f"EC2, a scheduler and {count} workers: calls of Shoal", told["ours"], ""),
        Row("  of dask-cloudprovider", told["theirs"], ""),
        Row("  seconds of Shoal", told["our_s"], "s"),
        Row("  of dask-cloudprovider", told["their_s"], "s"),
        Row("  × dask-cloudprovider, calls", told["ours"] / told["theirs"], "×"),
    ]


# within the namespace


class Schedulers:
    """The first VM's address is this machine's, and a Dask scheduler listens there."""

    def __init__(self, python: Path) -> None:
        self._python = python
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, machine: Machine) -> None:
        if self.process is None:
            address = f"{machine.address}/32"
            subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
            program = [self._python, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
            self.process = subprocess.Popen(
                [*program, "--host", machine.address, "--port", "8786"], stderr=subprocess.DEVNULL
            )

    def stop(self, id: str) -> None:
        pass


def compare(python: Path, count: int) -> dict[str, float]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    their_s, theirs = _their_calls(python, count)
    our_s, ours = asyncio.run(_our_calls(count))
    return {"ours": ours, "our_s": our_s, "theirs": theirs, "their_s": their_s}


def _their_calls(python: Path, count: int) -> tuple[float, int]:
    double = AwsDouble(Knobs(regions=("us-east-1",)))
    machines = Schedulers(python)
    with double:
        double.machines = machines
        asked = {"count": count, "ami": double.front.images["us-east-1", "amd64"], **_place(double)}
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": double.account.endpoint,
            "AWS_ACCESS_KEY_ID": "of-the-double",
            "AWS_SECRET_ACCESS_KEY": "of-the-double",
        }
        double.front.calls.clear()
        theirs = subprocess.Popen(
            [python, "-c", THEIRS, json.dumps(asked)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert theirs.stdout is not None
            line = next(it for it in theirs.stdout if it.startswith("SECONDS"))
            return float(line.split()[1]), sum(double.front.calls.values())
        finally:
            theirs.kill()
            theirs.wait()
            if machines.process is not None:
                machines.process.kill()
                machines.process.wait()


async def _our_calls(count: int) -> tuple[float, int]:
    with AwsDouble(Knobs(regions=("us-east-1",))) as double:
        cloud = AwsCloud(
            double.account, OURS, clock=lambda: datetime.now(UTC), session=double.session
        )
        began = time.perf_counter()
        await cloud.launch(batch(1, number=1, role=Role.SCHEDULER, head_address=""), "#!/bin/sh\n")
        await cloud.launch(batch(count, number=2), "#!/bin/sh\n")
        return time.perf_counter() - began, sum(double.front.calls.values())


def _place(double: AwsDouble) -> dict[str, object]:
    ec2 = double.session.client("ec2", "us-east-1", endpoint_url=double.account.endpoint)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "tag:shoal", "Values": ["*"]}])["Vpcs"][0]["VpcId"]
    here = [{"Name": "vpc-id", "Values": [vpc]}]
    subnet = ec2.describe_subnets(Filters=here)["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups(Filters=here)["SecurityGroups"][0]["GroupId"]
    return {"vpc": vpc, "subnet_id": subnet, "security_groups": [group]}


if __name__ == "__main__":
    print(json.dumps(compare(Path(sys.argv[1]), int(sys.argv[2]))))

"""VMs of each cloud boot by the image's own cloud-init, are apart, end, and leave nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from shoal.clouds import local_groups
from tests.doubles.machines import Machine
from tests.e2e.session import until
from tests.vms import emulation, namespaces, sweep
from tests.vms.fabric import Fabric
from tests.vms.machines import VmMachines
from tests.vms.made import machine
from tests.vms.vm import Boot, Vm

# The first one builds the images.
pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

CLOUDS = ("gcp", "aws", "azure")
# How a VM learns its own name or id, in each cloud's way.
ASK = """
import sys, urllib.request
def ask(path, method="GET", **headers):
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    request = urllib.request.Request("http://169.254.169.254" + path, headers=named, method=method)
    return urllib.request.urlopen(request, timeout=5).read().decode()
def gcp():
    return ask("/computeMetadata/v1/instance/name", Metadata_Flavor="Google")
def aws():
    token = ask("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    return ask("/latest/meta-data/instance-id", X_aws_ec2_metadata_token=token)
def azure():
    path = "/metadata/instance/compute/name?api-version=2021-08-01&format=text"
    return ask(path, Metadata="true")
print(globals()[sys.argv[1]]())
"""
SERVE = "exec python3 -m http.server 8000"


def reach(address: str, port: int) -> str:
    """What a VM runs to find out whether it reaches that."""
    dial = f"socket.create_connection(({address!r}, {port}), 1)"
    return f'python3 -c "import socket; {dial}" && echo reached'


def told(vm: Vm, name: str = "told") -> str:
    """What its script wrote, when it has."""
    file = vm.disk / "var/log" / name
    until(lambda: file.exists() and bool(file.read_text()), 40, vm.console)
    return file.read_text().strip()


@pytest.fixture
def machines(network: Fabric) -> Iterator[VmMachines]:
    with VmMachines(network) as made:
        yield made


@pytest.fixture
def bare(network: Fabric) -> Iterator[VmMachines]:
    with VmMachines(network, boot=Boot.BARE) as made:
        yield made


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of the tests' own side, on every address."""
    with socket.create_server(("", 0)) as door:
        yield door.getsockname()[1]


def started(machines: VmMachines, made: Machine) -> Vm:
    machines.start(made)
    return machines.vm(made.id)


def test_each_cloud_s_cloud_init_runs_the_user_data(machines: VmMachines) -> None:
    script = (
        f"cat > /tmp/ask.py <<'END'\n{ASK}\nEND\n"
        "cat /run/cloud-init/cloud-id > /tmp/told\n"
        "python3 /tmp/ask.py $(sed 's/gce/gcp/' /run/cloud-init/cloud-id) >> /tmp/told\n"
        "hostname --all-ip-addresses >> /tmp/told\n"
        "mv /tmp/told /var/log/told"
    )
    made = {cloud: machine(cloud, number, script) for number, cloud in enumerate(CLOUDS, start=1)}
    vms = {cloud: started(machines, it) for cloud, it in made.items()}
    said = {cloud: told(vm).split() for cloud, vm in vms.items()}
    assert said == {
        "gcp": ["gce", made["gcp"].name, made["gcp"].address],
        "aws": ["aws", made["aws"].id, made["aws"].address],
        "azure": ["azure", made["azure"].name, made["azure"].address],
    }


def test_a_vm_that_powers_itself_off_is_told_of_once_and_leaves_nothing(network: Fabric) -> None:
    ended: list[str] = []
    with VmMachines(network, ended=ended.append, boot=Boot.BARE) as machines:
        off = machine("gcp", 1, "poweroff")
        on = machine("gcp", 2, "sleep infinity")
        machines.start(off)
        machines.start(on)
        until(lambda: bool(ended), 10)
        assert machines.running() == [on.id]
        until(lambda: len(vm_namespaces()) == 1, 5, lambda: str(vm_namespaces()))
        machines.stop(on.id)
        machines.stop(on.id)
    assert ended == [off.id]
    assert vm_namespaces() == []


def vm_namespaces() -> list[str]:
    names = os.listdir(namespaces.NAMED)
    mine = sweep.prefix(os.getpid())
    return [it for it in names if it.startswith(mine) and not it.endswith("fabric")]


def test_cloud_init_can_be_powered_off_too(network: Fabric) -> None:
    ended: list[str] = []
    with VmMachines(network, ended=ended.append) as machines:
        machines.start(machine("aws", 1, "poweroff"))
        until(lambda: bool(ended), 40)


def test_the_tests_reach_a_vm_and_vms_reach_each_other(bare: VmMachines) -> None:
    first = machine("gcp", 1, SERVE)
    started(bare, first)
    until(lambda: dials(first.address, 8000), 10)
    script = f"{reach(first.address, 8000)} > /var/log/told"
    assert told(started(bare, machine("aws", 2, script))) == "reached"


def dials(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), 1):
            return True
    except OSError:
        return False


def test_a_vm_reaches_nothing_of_the_machine_it_is_on(bare: VmMachines, listening: int) -> None:
    assert dials("127.0.0.1", listening)
    addresses = ["127.0.0.1", "198.18.0.1", "198.18.0.2", "10.255.255.254", own_address()]
    tries = "\n".join(reach(address, listening) for address in addresses)
    script = f"( {tries} ; echo tried ) > /var/log/told 2>/dev/null"
    vm = started(bare, machine("gcp", 1, script))
    until(lambda: "tried" in told(vm), 20, vm.console)
    assert told(vm) == "tried"


def own_address() -> str:
    """Of this machine, as the outside sees it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))  # sends nothing
        address: str = asking.getsockname()[0]
        return address


def test_a_vm_reaches_the_package_index_and_no_other_host(bare: VmMachines) -> None:
    script = (
        f"( {reach('pypi.org', 443)}; {reach('example.org', 443)}; {reach('203.0.113.7', 443)};"
        " echo tried ) > /var/log/told 2>/dev/null"
    )
    vm = started(bare, machine("gcp", 1, script))
    until(lambda: "tried" in told(vm), 20, vm.console)
    assert told(vm).split() == ["reached", "tried"]


def test_a_vm_sees_only_its_own_processes_and_host_name(bare: VmMachines) -> None:
    script = "( hostname; ps -e -o pid= | wc -l ) > /tmp/told; mv /tmp/told /var/log/told"
    name, processes = told(started(bare, machine("azure", 3, script))).split()
    assert name == "quiet-3"
    assert int(processes) < 10


@pytest.mark.skipif(local_groups.version() is None, reason="no control groups here")
def test_a_vm_has_no_more_memory_than_its_size(network: Fabric) -> None:
    script = (
        "python3 -c 'b = bytearray(10_000_000)' && echo little > /var/log/little\n"
        "python3 -c 'b = bytearray(300_000_000)' || echo $? > /var/log/told"
    )
    with VmMachines(network, boot=Boot.BARE, memory_bytes=128 * 2**20) as machines:
        vm = started(machines, machine("gcp", 1, script))
        assert told(vm) == "137"  # killed
        assert told(vm, "little") == "little"


def test_a_vm_of_another_architecture_runs_its_programs(network: Fabric) -> None:
    if reason := emulation.why_not("aarch64"):
        pytest.skip(reason)
    script = (
        "python3 -c 'import platform; print(platform.machine(), platform.node())' > /tmp/told\n"
        "mv /tmp/told /var/log/told"
    )
    with (
        emulation.emulated("aarch64"),
        VmMachines(network, boot=Boot.BARE, archs=["aarch64"]) as machines,
    ):
        vm = started(machines, machine("gcp", 1, script, arch="aarch64"))
        assert told(vm) == "aarch64 quiet-1"

"""What the double itself must do, so that a test against it means something."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.clouds.provider import Unknown
from tests.clouds.azure.rig import Rig, batch, offer
from tests.doubles.azure import shapes
from tests.doubles.azure.arm import Arm, Body
from tests.doubles.azure.server import AzureDouble, prepared
from tests.doubles.machines import Machine


class Booted:
    def __init__(self) -> None:
        self.machines: list[Machine] = []
        self.stopped: list[str] = []

    def start(self, machine: Machine) -> None:
        self.machines.append(machine)

    def stop(self, id: str) -> None:
        self.stopped.append(id)


def test_who_boots_vms_is_told_of_each(tmp_path: Path) -> None:
    booted = Booted()
    with AzureDouble(prepared(Arm(machines=booted)), tmp_path) as azure:
        rig = Rig(azure)
        asked = batch(1, offer("Standard_D4ps_v6", spot=True, arch="aarch64"))
        rig.launch(asked)
        (machine,) = booted.machines
        assert (machine.name, machine.zone, machine.arch) == (
            asked.instances[0],
            "eastus-1",
            "aarch64",
        )
        assert machine.user_data == rig.boot_text.encode()
        assert machine.spot
        assert rig.listed()[0].inside == f"{machine.address}:8788"
        rig.arm.evict(asked.instances[0])
        assert booted.stopped == [machine.id] == [it.id for it in rig.launch(asked).vms]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"priority": "Spott"}, "is none of"),
        ({"prioriti": "Spot"}, "unknown property"),
        ({"networkProfile": {"networkInterfaces": "x"}}, "not an array"),
        ({"storageProfile": {"osDisk": {"diskSizeGB": "50"}}}, "is no int"),
        ({"storageProfile": {"osDisk": {}}}, "createOption: missing"),
    ],
)
def test_a_malformed_vm_is_told_by_the_vendors_types(change: Body, fault: str) -> None:
    body = {"location": "eastus", "properties": change}
    assert any(fault in it for it in shapes.faults("compute.VirtualMachine", body))


def test_a_well_formed_vm_is_in_order() -> None:
    body = {"location": "eastus", "properties": {"hardwareProfile": {"vmSize": "Standard_New_v9"}}}
    assert shapes.faults("compute.VirtualMachine", body) == []


def test_a_lost_answer_is_unknown(rig: Rig) -> None:
    rig.arm.knobs.lost.append("GET disks")
    with pytest.raises(Unknown, match="did not answer"):
        rig.listed()

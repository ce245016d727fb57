"""Disks that come with a machine, as loop devices that are called as a cloud calls them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shoal.agent import scratch

_MIB = 1 << 20
_NAMES = {
    "gcp": "google-local-nvme-ssd-{}",
    "aws": "nvme-Amazon_EC2_NVMe_Instance_Storage_AWS{}",
    "azure": "nvme-Microsoft_NVMe_Direct_Disk_{}",
}
Disk = Callable[[str], Path]


def _loop(file: Path) -> str:
    made = subprocess.run(
        ["losetup", "--find", "--show", file], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no loop device here: {made.stderr.strip()}")
    return made.stdout.strip()


@pytest.fixture
def by_id(tmp_path: Path) -> Path:
    made = tmp_path / "by-id"
    made.mkdir()
    return made


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "scratch"
    yield where
    if os.path.ismount(where):
        subprocess.run(["umount", where], check=True)


@pytest.fixture
def disk(tmp_path: Path, by_id: Path, place: Path) -> Iterator[Disk]:
    """Another one of this name, raw."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("losetup", "mkfs.ext4", "blkid"))):
        pytest.skip("disks are made by root, with losetup, mkfs.ext4 and blkid")
    made: list[str] = []

    def make(name: str) -> Path:
        file = tmp_path / f"{len(made)}.img"
        with file.open("wb") as image:
            image.truncate(16 * _MIB)
        made.append(_loop(file))
        (by_id / name).symlink_to(made[-1])
        return Path(made[-1])

    yield make
    if os.path.ismount(place):
        subprocess.run(["umount", place], check=True)
    for it in made:
        subprocess.run(["losetup", "--detach", it], check=True)


@pytest.mark.parametrize("cloud", _NAMES)
def test_a_raw_disk_is_mounted_once_and_written_to(
    cloud: str, disk: Disk, by_id: Path, place: Path
) -> None:
    disk(_NAMES[cloud].format(0))
    for _ in range(2):  # an agent that is started again
        assert scratch.prepared(place, by_id=by_id, mounted=()) == place
    assert os.path.ismount(place)
    (place / "spilled").write_bytes(b"x" * _MIB)


def test_a_disk_has_several_names_and_is_one(disk: Disk, by_id: Path) -> None:
    name = _NAMES["aws"]
    device = disk(name.format("1234"))
    (by_id / name.format("1234_1")).symlink_to(device)
    assert scratch.raw_disks(by_id) == [device]


def test_a_disk_with_something_on_it_is_left_alone(disk: Disk, by_id: Path, place: Path) -> None:
    device = disk(_NAMES["gcp"].format(0))
    subprocess.run(["mkfs.ext4", "-q", "-L", "precious", device], check=True)
    assert scratch.prepared(place, by_id=by_id, mounted=()) is None
    told = subprocess.run(["blkid", "-p", device], capture_output=True, text=True, check=True)
    assert 'LABEL="precious"' in told.stdout


def test_other_disks_are_no_scratch(disk: Disk, by_id: Path) -> None:
    disk("nvme-Amazon_Elastic_Block_Store_vol0123")
    assert scratch.raw_disks(by_id) == []


def test_what_the_image_has_mounted_is_taken(by_id: Path, tmp_path: Path) -> None:
    ready = (tmp_path / "not-mounted", Path("/proc"))  # of the two, the one that is a mount
    assert scratch.prepared(tmp_path / "s", by_id=by_id, mounted=ready) == Path("/proc/shoal")


def test_a_vm_without_such_disks_spills_to_its_own_directory(by_id: Path, tmp_path: Path) -> None:
    assert scratch.prepared(tmp_path / "s", by_id=by_id, mounted=()) is None

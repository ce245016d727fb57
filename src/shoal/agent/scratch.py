"""Where Dask works and spills on a cloud's VM: the disks that come with its machine type.

They are quick, cost nothing more, and end with the VM, so what is on them is nobody's. Clouds hand
them out raw: those without any signature are formatted, several striped to one where the image has
mdadm, and mounted. Some images have done it already; then a directory on theirs is taken. A VM
without such a disk, or whose disk cannot be used, spills to its own directory.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_log = logging.getLogger(__name__)

BY_ID = Path("/dev/disk/by-id")
# Google's and Amazon's own names (their pages on local SSDs and instance stores, read 2026-11);
# Microsoft's as its raw NVMe disks of v6 and L types are called.
_RAW = (
    "google-local-nvme-ssd-*",
    "nvme-Amazon_EC2_NVMe_Instance_Storage_AWS*",
    "nvme-Microsoft_NVMe_Direct_Disk*",
)
# What images mount by themselves: Amazon's for deep learning, Azure's agent its older, SCSI disks.
MOUNTED = (Path("/opt/dlami/nvme"), Path("/mnt/resource"), Path("/mnt"))
_ARRAY = Path("/dev/md/shoal")
_NO_SIGNATURE = 2  # blkid's exit status
_PATIENCE_S = 60.0


def prepared(place: Path, *, by_id: Path = BY_ID, mounted: Sequence[Path] = MOUNTED) -> Path | None:
    """The directory to spill to, or None. Raw disks are mounted at `place`; once more is fine."""
    if os.path.ismount(place):
        return place
    if disks := raw_disks(by_id):
        try:
            _mount(_one(disks), place)
            return place
        except (OSError, subprocess.SubprocessError) as error:
            _log.warning("%s cannot be used: %s", " ".join(map(str, disks)), _words(error))
    return next((it / "shoal" for it in mounted if os.path.ismount(it)), None)


def raw_disks(by_id: Path) -> list[Path]:
    """Each once, by whichever of its names; none with a file system, a partition or an owner."""
    named = {it.resolve() for pattern in _RAW for it in by_id.glob(pattern)}
    return [it for it in sorted(named) if _is_raw(it)]


def _is_raw(disk: Path) -> bool:
    asked = subprocess.run(
        ["blkid", "--probe", disk], capture_output=True, timeout=_PATIENCE_S, check=False
    )
    return asked.returncode == _NO_SIGNATURE


def _one(disks: list[Path]) -> Path:
    if len(disks) == 1 or shutil.which("mdadm") is None:
        return disks[0]
    count = f"--raid-devices={len(disks)}"
    _do("mdadm", "--create", _ARRAY, "--run", "--quiet", "--level=0", count, *disks)
    return _ARRAY


def _mount(disk: Path, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    _do("mkfs.ext4", "-qF", "-E", "nodiscard,lazy_itable_init=1", disk)
    _do("mount", "-o", "noatime", disk, place)


def _do(*command: str | Path) -> None:
    subprocess.run(command, capture_output=True, timeout=_PATIENCE_S, check=True)


def _words(error: Exception) -> str:
    said = getattr(error, "stderr", None)
    return said.decode(errors="replace").strip() if said else str(error)

"""Programs of another architecture run here, by qemu's user emulation, while a test wants them.

An image of that architecture then boots like any other, some ten times slower. The kernel's entry
is taken back when the tests end, however they end.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.vms.sweep import prefix

_SCRIPT = Path(__file__).with_name("emulate.sh")
# An ELF header of a 64-bit little-endian program for AArch64 (183), whatever its ABI.
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"


def why_not(arch: str) -> str:
    """Why programs of that architecture cannot run here; empty: they can."""
    if arch == platform.machine():
        return ""
    if shutil.which(f"qemu-{arch}-static") is None:
        return f"not installed: qemu-{arch}-static"
    known = Path("/proc/filesystems").read_text().split()
    return "" if "binfmt_misc" in known else "this kernel has no binfmt_misc"


@contextlib.contextmanager
def emulated(arch: str) -> Iterator[None]:
    qemu = shutil.which(f"qemu-{arch}-static")
    if arch == platform.machine() or qemu is None:
        yield
        return
    name = f"{prefix(os.getpid())}{arch}"
    command = ["unshare", "--mount", "sh", str(_SCRIPT), name, qemu, _MAGIC, _MASK]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as holding:
        assert holding.stdout is not None
        if holding.stdout.readline() != b"ready\n":
            raise RuntimeError(f"programs for {arch} cannot be emulated here")
        yield

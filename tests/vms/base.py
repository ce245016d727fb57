"""The image that every VM boots: Debian 12 with python3 and cloud-init, as a directory.

Built once (about half a minute, 230 MB) into a cache outside the repository, and never written to:
VMs lay an overlay over it. It trusts the certificate authorities that this machine trusts, as a
custom image of a private network does.

For another architecture the packages are unpacked and no more, since their own set-up scripts would
run for minutes under emulation: enough for a `Boot.BARE` VM.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from pathlib import Path

import filelock

from tests.vms.namespaces import run

SUITE = "bookworm"
PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "ifupdown",
    "iproute2",
    "isc-dhcp-client",
    "netbase",
    "procps",
    "python3",
    "sudo",
)
# What else an essential system is, where no package manager has set it up.
_UNPACKED = (
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "hostname",
    "login",
    "mount",
    "sed",
    "tar",
    "util-linux",
)
_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
_WITHOUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
_AUTHORITIES = Path("etc/ssl/certs/ca-certificates.crt")

# There is no systemd here: the end of process 1 is the end of the VM.
_POWEROFF = "#!/bin/sh\nexec kill -s TERM 1\n"
_POWEROFF_NAMES = ("poweroff", "shutdown", "halt")
_CLOUD_CONFIG = "locale: C.UTF-8\nssh_genkeytypes: []\n"  # each saves a second
_UV_CONFIG = "system-certs = true\n"  # the authorities of the image


def cache() -> Path:
    """Where the image and the VMs' disks are; not on an overlay, which cannot carry another."""
    named = os.environ.get("SHOAL_TEST_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else home / "shoal-tests"


def image(arch: str = platform.machine()) -> Path:
    """The image's root directory, built if it is not there yet. `arch`: as `uname` tells it."""
    made = cache() / f"image-{arch}-{_recipe()}"
    made.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(made.with_suffix(".lock")):
        if not made.exists():
            _build(made, arch)
    return made


def _recipe() -> str:
    """Changes with anything that goes into the image."""
    parts = (SUITE, *PACKAGES, *_UNPACKED, _POWEROFF, _CLOUD_CONFIG, _UV_CONFIG)
    return hashlib.sha256("\n".join(parts).encode() + _authorities()).hexdigest()[:12]


def _build(made: Path, arch: str) -> None:
    draft = Path(tempfile.mkdtemp(dir=made.parent, prefix=".making-"))
    root = draft / "root"
    native = arch == platform.machine()
    variant, packages = ("minbase", PACKAGES) if native else ("extract", PACKAGES + _UNPACKED)
    try:
        run(
            [
                "mmdebstrap",
                "--quiet",
                "--mode=root",
                f"--variant={variant}",
                f"--architectures={_DEBIAN[arch]}",
                f"--include={','.join(packages)}",
                *(f"--dpkgopt=path-exclude={it}" for it in _WITHOUT),
                SUITE,
                str(root),
            ]
        )
        if not native:
            _name_users(root)
        _furnish(root)
        root.rename(made)
        _forget_older(made, arch)
    finally:
        shutil.rmtree(draft)


def _forget_older(made: Path, arch: str) -> None:
    """Nobody boots them: there is one fabric at a time, and it is ours."""
    for older in made.parent.glob(f"image-{arch}-*"):
        if older != made and older.is_dir():
            shutil.rmtree(older)


def _name_users(root: Path) -> None:
    for name in ("passwd", "group"):
        shutil.copyfile(root / "usr/share/base-passwd" / f"{name}.master", root / "etc" / name)


def _furnish(root: Path) -> None:
    for name in _POWEROFF_NAMES:
        program = root / "usr/sbin" / name
        program.write_text(_POWEROFF)
        program.chmod(0o755)
    (root / "etc/cloud/cloud.cfg.d/90_image.cfg").write_text(_CLOUD_CONFIG)
    (root / "etc/hostname").write_text("localhost\n")
    (root / "etc/uv").mkdir()
    (root / "etc/uv/uv.toml").write_text(_UV_CONFIG)
    (root / _AUTHORITIES).write_bytes(_authorities() or (root / _AUTHORITIES).read_bytes())


def _authorities() -> bytes:
    """What this machine trusts; empty: it does not say."""
    host = Path("/") / _AUTHORITIES
    return host.read_bytes() if host.is_file() else b""

"""The image that every VM boots: Debian 12 with python3 and cloud-init, as a directory.

Built once (about half a minute, 230 MB) into a cache outside the repository, and never written to:
VMs lay an overlay over it. It trusts the certificate authorities that this machine trusts, as a
custom image of a private network does.
"""

from __future__ import annotations

import hashlib
import os
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
_WITHOUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
_AUTHORITIES = Path("etc/ssl/certs/ca-certificates.crt")

# There is no systemd here: the end of process 1 is the end of the VM.
_POWEROFF = "#!/bin/sh\nexec kill -s TERM 1\n"
_POWEROFF_NAMES = ("poweroff", "shutdown", "halt")
_CLOUD_CONFIG = "locale: C.UTF-8\nssh_genkeytypes: []\n"  # each saves a second
_UV_CONFIG = "native-tls = true\n"  # the authorities of the image


def cache() -> Path:
    """Where the image and the VMs' disks are; not on an overlay, which cannot carry another."""
    named = os.environ.get("SHOAL_TEST_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else home / "shoal-tests"


def image() -> Path:
    """The image's root directory, built if it is not there yet."""
    made = cache() / f"image-{_recipe()}"
    made.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(made.with_suffix(".lock")):
        if not made.exists():
            _build(made)
    return made


def _recipe() -> str:
    """Changes with anything that goes into the image."""
    parts = (SUITE, *PACKAGES, _POWEROFF, _CLOUD_CONFIG, _UV_CONFIG, str(_host_authorities()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _build(made: Path) -> None:
    draft = Path(tempfile.mkdtemp(dir=made.parent, prefix=".making-"))
    root = draft / "root"
    try:
        run(
            [
                "mmdebstrap",
                "--quiet",
                "--mode=root",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
                *(f"--dpkgopt=path-exclude={it}" for it in _WITHOUT),
                SUITE,
                str(root),
            ]
        )
        _furnish(root)
        root.rename(made)
    finally:
        shutil.rmtree(draft)


def _furnish(root: Path) -> None:
    for name in _POWEROFF_NAMES:
        program = root / "usr/sbin" / name
        program.write_text(_POWEROFF)
        program.chmod(0o755)
    (root / "etc/cloud/cloud.cfg.d/90_image.cfg").write_text(_CLOUD_CONFIG)
    (root / "etc/hostname").write_text("localhost\n")
    (root / "etc/uv").mkdir()
    (root / "etc/uv/uv.toml").write_text(_UV_CONFIG)
    authorities = _host_authorities()
    if authorities is not None:
        shutil.copyfile(authorities, root / _AUTHORITIES)


def _host_authorities() -> Path | None:
    host = Path("/") / _AUTHORITIES
    return host if host.is_file() else None

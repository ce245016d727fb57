"""An image with Shoal's agent in it, as a layer over the plain one: what a prebuilt image has.

The agent's packages are where the image's own Python finds them, even when it is told to look at
nothing else (`python3 -I`).
"""

from __future__ import annotations

from pathlib import Path

import uv

from shoal.software import runtime
from tests.vms.namespaces import run

_PACKAGES = "usr/local/lib/python3.11/dist-packages"  # of Debian 12


def agent_layer(where: Path, arch: str) -> Path:
    requirement, _ = runtime._requirement("agent", where / "cache")
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--compile-bytecode"]
    command += ["--target", str(where / "layer" / _PACKAGES)]
    command += ["--python-platform", f"{arch}-manylinux_2_28", "--python-version", "3.11"]
    run([*command, requirement, "uv"])
    return where / "layer"

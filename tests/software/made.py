"""Things to sync, made by hand: installed distributions, projects, wheels, environments."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from shoal.software import build, pylock, wheels
from shoal.software.sync import here
from shoal.wire.environments import Manifest, environment_id

HEAD = 'lock-version = "1.0"\ncreated-by = "tests"\nrequires-python = ">=3.11"\n\n'
_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
# A build backend (PEP 517) without requirements, which writes the package that lies beside it.
_BACKEND = """
import pathlib, zipfile
def build_wheel(out, config_settings=None, metadata_directory=None):
    name, version = pathlib.Path("name").read_text().split()
    stem = f"{name}-{version}"
    metadata = {
        "METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
        "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(pathlib.Path(out, f"{stem}-py3-none-any.whl"), "w") as archive:
        for file in sorted(pathlib.Path(name).rglob("*.py")):
            archive.write(file)
        for file, content in metadata.items():
            archive.writestr(f"{stem}.dist-info/{file}", content)
    return f"{stem}-py3-none-any.whl"
"""
_PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "{name}"
version = "{version}"
"""


class Installed(msgspec.Struct, frozen=True):
    """A distribution as an installer leaves it."""

    name: str
    version: str = "1.0"
    direct_url: Mapping[str, object] | None = None
    installer: str = "pip"
    requires: tuple[str, ...] = ()
    tag: str = "py3-none-any"
    files: tuple[str, ...] = ()  # besides <name>.py; ".." leads out of site-packages

    def into(self, site: Path) -> Path:
        metadata = site / f"{self.name}-{self.version}.dist-info"
        metadata.mkdir(parents=True)
        for file in (f"{self.name}.py", *self.files):
            path = site / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!/somewhere/bin/python\nVERSION = {self.version!r}\n")
        (metadata / "METADATA").write_text(self._metadata())
        (metadata / "WHEEL").write_text(_WHEEL.format(pure="true", tag=self.tag))
        (metadata / "INSTALLER").write_text(self.installer)
        if self.direct_url is not None:
            (metadata / "direct_url.json").write_text(json.dumps(self.direct_url))
        own = [f"{metadata.name}/{it.name}" for it in metadata.iterdir()]
        rows = [f"{it},," for it in (f"{self.name}.py", *self.files, *own)]
        (metadata / "RECORD").write_text("\n".join([*rows, f"{metadata.name}/RECORD,,"]) + "\n")
        return metadata

    def _metadata(self) -> str:
        needs = "".join(f"Requires-Dist: {it}\n" for it in self.requires)
        return f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n{needs}"


def project(directory: Path, name: str, version: str = "1.0", source: str = "VALUE = 1\n") -> Path:
    """A project whose package is `<name>/__init__.py`."""
    root = directory / name
    (root / name).mkdir(parents=True)
    (root / name / "__init__.py").write_text(source)
    (root / "name").write_text(f"{name} {version}")
    (root / "backend.py").write_text(_BACKEND)
    (root / "pyproject.toml").write_text(_PYPROJECT.format(name=name, version=version))
    return root


def editable(project: Path, site: Path, version: str = "1.0") -> Path:
    """As `pip install -e` leaves it, less the hook that makes it importable."""
    url = {"url": project.as_uri(), "dir_info": {"editable": True}}
    return Installed(project.name, version, direct_url=url).into(site)


def wheel(directory: Path, name: str, version: str = "1.0", tag: str = "py3-none-any") -> Path:
    """A wheel of one module."""
    information = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files: dict[str, bytes | Path] = {
        f"{name}.py": f"VERSION = {version!r}\n".encode(),
        f"{information}/METADATA": metadata.encode(),
        f"{information}/WHEEL": _WHEEL.format(pure="true", tag=tag).encode(),
    }
    directory.mkdir(parents=True, exist_ok=True)
    return wheels.write(wheels.Wheel(f"{name}-{version}-{tag}.whl", information, files), directory)


def manifest(*built: Path, store: Path) -> Manifest:
    """An environment of wheels that travel and nothing else; they are put into `store`."""
    store.mkdir(parents=True, exist_ok=True)
    described = tuple(build.describe(it, it.name.split("-")[0], "modules") for it in built)
    for file, it in zip(built, described, strict=True):
        shutil.copy(file, store / it.sha256)
    lock = pylock.parse(HEAD).joined(described).text
    target = here()
    return Manifest(
        environment_id(lock, target.python, target.platform, described),
        lock,
        target.python,
        target.platform,
        described,
    )

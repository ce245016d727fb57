"""A conda channel of real packages in a directory: CPython itself, and small ones.

A package is a tar of its files and of info/, which tells what it is and what it needs
(docs.conda.io/projects/conda-build, "Conda package specification").
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

VERSION = ".".join(map(str, sys.version_info[:3]))
MINOR = ".".join(map(str, sys.version_info[:2]))
SUBDIR = "linux-64" if os.uname().machine == "x86_64" else "linux-aarch64"
_NOT_TAKEN = ("site-packages", "__pycache__", "test", "tests", "idlelib", "tkinter", "ensurepip")
_EXECUTABLES = ("python", "python3", f"python{MINOR}")


class Made(msgspec.Struct, frozen=True):
    """`files`: their content, or where it lies. Python code of a noarch package is below
    site-packages/."""

    name: str
    version: str
    files: Mapping[str, bytes | Path]
    depends: tuple[str, ...] = ()
    noarch: bool = True

    def into(self, channel: Path) -> Path:
        subdir = "noarch" if self.noarch else SUBDIR
        file = channel / subdir / f"{self.name}-{self.version}-0.tar.bz2"
        file.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(file, "w:bz2", compresslevel=1) as archive:
            for name, content in self.files.items():
                _add(archive, name, content)
            for name, told in self._information(subdir).items():
                _add(archive, f"info/{name}", told)
        return file

    def _information(self, subdir: str) -> dict[str, bytes]:
        index = {
            "name": self.name,
            "version": self.version,
            "build": "0",
            "build_number": 0,
            "depends": list(self.depends),
            "subdir": subdir,
            **({"noarch": "python"} if self.noarch else {}),
        }
        paths = {"paths_version": 1, "paths": [_path(*it) for it in self.files.items()]}
        link = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        told: dict[str, object] = {"index.json": index, "paths.json": paths, "about.json": {}}
        if self.noarch:
            told["link.json"] = link
        return {name: json.dumps(it).encode() for name, it in told.items()} | {
            "files": "\n".join(self.files).encode()
        }


def module(name: str, version: str, *depends: str) -> Made:
    """A distribution of one module, as conda-build leaves it."""
    information = f"site-packages/{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    return Made(
        name,
        version,
        {
            f"site-packages/{name}.py": f"VERSION = {version!r}\n".encode(),
            f"{information}/METADATA": metadata,
            f"{information}/RECORD": f"{name}.py,,\n".encode(),
            f"{information}/INSTALLER": b"conda\n",
        },
        (f"python >={MINOR}", *depends),
    )


def cpython() -> Made:
    """The Python that runs this, less what no program needs."""
    base = Path(sys.base_prefix)
    files: dict[str, bytes | Path] = {}
    for root, directories, names in os.walk(base):
        below = Path(root).relative_to(base).as_posix()
        directories[:] = [it for it in directories if not _left_out(below, it)]
        for name in names:
            if below != "bin" or name in _EXECUTABLES:
                files[f"{below}/{name}".removeprefix("./")] = Path(root, name)
    files[f"lib/python{MINOR}/site-packages/README.txt"] = b"here they go"
    return Made("python", VERSION, files, noarch=False)


def _left_out(below: str, directory: str) -> bool:
    at_top = below == "." and directory not in ("bin", "lib")
    return at_top or directory in _NOT_TAKEN or directory.startswith("config-")


def _add(archive: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    if isinstance(content, Path):
        archive.add(content, name, recursive=False)
        return
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    archive.addfile(entry, io.BytesIO(content))


def _path(name: str, content: bytes | Path) -> dict[str, object]:
    linked = isinstance(content, Path) and content.is_symlink()
    data = b"" if linked else content.read_bytes() if isinstance(content, Path) else content
    return {
        "_path": name,
        "path_type": "softlink" if linked else "hardlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
    }


INDEX = """
import asyncio, os, pathlib, sys
from rattler.index import index_fs
async def index():
    await index_fs(pathlib.Path(sys.argv[1]))
asyncio.run(index())
os._exit(0)  # its threads crash a Python that ends while they do
"""

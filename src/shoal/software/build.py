"""Wheels for what no index has, each made once for the same content, on the client.

The cache is keyed by what goes in: the files of an editable project, of loose modules, of an
installed distribution. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uv

from shoal.errors import EnvironmentFailed
from shoal.software import wheels
from shoal.software.classify import Editable, Modules, Repacked
from shoal.wire.environments import WheelFile

_SKIPPED = frozenset({"__pycache__", "build", "dist", "node_modules", "venv", "env"})
_LARGE_BYTES = 8 << 20  # larger files are known by size and time rather than content
_LAST_WORDS = 15  # lines of the builder's output


def editable(item: Editable, cache: Path) -> tuple[WheelFile, Path]:
    """The project's wheel, built by its own build backend unless this very source was built."""
    directory = cache / "wheels" / f"{item.name}-{tree_hash(item.source)}"
    built = next(directory.glob("*.whl"), None) if directory.is_dir() else None
    if built is None:
        built = _build(item, directory)
    return _described(built, item.name, "editable"), built


def repacked(item: Repacked, cache: Path) -> tuple[WheelFile, Path]:
    key = hashlib.sha256(f"{item.metadata}\0".encode() + _record(item)).hexdigest()[:32]
    directory = cache / "wheels" / f"{item.name}-{key}"
    made = next(directory.glob("*.whl"), None) if directory.is_dir() else None
    if made is None:
        made = _keep(wheels.repack(item), directory)
    return _described(made, item.name, "repacked"), made


def modules(items: tuple[Modules, ...], cache: Path) -> tuple[WheelFile, Path]:
    content = wheels.from_modules(it.loose for it in items)
    directory = cache / "wheels" / content.filename.removesuffix(".whl")
    made = directory / content.filename
    if not made.exists():
        made = _keep(content, directory)
    return _described(made, wheels.LOOSE_NAME, "modules"), made


def tree_hash(source: Path) -> str:
    """32 hex digits of a project's files, less what is built, cached or hidden."""
    digest = hashlib.sha256()
    for file in _files(source):
        digest.update(file.relative_to(source).as_posix().encode() + b"\0")
        facts = file.stat()
        if facts.st_size > _LARGE_BYTES:
            digest.update(f"{facts.st_size} {facts.st_mtime_ns}".encode())
        else:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _files(source: Path) -> Iterator[Path]:
    for root, directories, names in os.walk(source):
        directories[:] = sorted(
            it
            for it in directories
            if not it.startswith(".") and it not in _SKIPPED and not it.endswith(".egg-info")
        )
        yield from (file for name in sorted(names) if (file := Path(root, name)).is_file())


def _build(item: Editable, directory: Path) -> Path:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as draft:
        done = subprocess.run(
            [uv.find_uv_bin(), "build", "--wheel", "--quiet", "--out-dir", draft, item.source],
            env=dict(os.environ, SOURCE_DATE_EPOCH="315532800"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        built = next(Path(draft).glob("*.whl"), None)
        if done.returncode != 0 or built is None:
            words = "\n".join(done.stderr.strip().splitlines()[-_LAST_WORDS:])
            raise EnvironmentFailed(
                f"The wheel of {item.name} ({item.source}) could not be built:\n{words}",
                hint=f"See it fail with: uv build --wheel {item.source}",
            )
        return _publish(built, directory)


def _keep(content: wheels.Content, directory: Path) -> Path:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as draft:
        file = Path(draft, content.filename)
        file.write_bytes(content.data)
        return _publish(file, directory)


def _publish(file: Path, directory: Path) -> Path:
    """Whole or not at all, whoever else is doing the same."""
    directory.mkdir(exist_ok=True)
    wanted = directory / file.name
    draft = directory / f".{os.getpid()}.{file.name}"
    shutil.copyfile(file, draft)
    return draft.replace(wanted)


def _record(item: Repacked) -> bytes:
    record = item.metadata / "RECORD"
    return record.read_bytes() if record.exists() else b""


def _described(wheel: Path, name: str, kind: str) -> WheelFile:
    data = wheel.read_bytes()
    version = wheel.name.split("-")[1]
    return WheelFile(wheel.name, hashlib.sha256(data).hexdigest(), len(data), name, version, kind)

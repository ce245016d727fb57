"""Modules that can be imported and belong to no package: a user's own files beside a notebook.

Those of the working directory, and of directories that the user put on `sys.path`. Bounded, since a
working directory may be a home directory or hold data.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

MAX_BYTES = 20 << 20  # of one directory
_MAX_FILES = 5_000
_NOT_MODULES = frozenset({"setup"})


class Module(msgspec.Struct, frozen=True):
    """A module, or a package with all its files."""

    name: str
    files: tuple[Path, ...]  # relative to the directory


class Loose(msgspec.Struct, frozen=True):
    directory: Path
    modules: tuple[Module, ...]
    too_large: tuple[str, ...] = ()  # names of what did not fit into MAX_BYTES


def loose_modules(
    working_directory: Path, searched: Sequence[Path], projects: Sequence[Path]
) -> tuple[Loose, ...]:
    """`searched`: the import path; `projects`: what is installed editable, and travels as such."""
    found = map(_within, _user_directories(working_directory, searched, projects))
    return tuple(it for it in found if it.modules or it.too_large)


def _user_directories(
    working_directory: Path, searched: Sequence[Path], projects: Sequence[Path]
) -> Iterator[Path]:
    """Those that neither Python nor an installer put on the path."""
    paths = sysconfig.get_paths()
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix]
    python += [paths[it] for it in ("stdlib", "purelib", "platlib")]
    taken = [*(Path(it).resolve() for it in python), *(it.resolve() for it in projects)]
    here = working_directory.resolve()
    for directory in dict.fromkeys([here, *(it.resolve() for it in searched)]):
        elsewhere = any(it == directory or it in directory.parents for it in taken)
        installed = directory.name in ("dist-packages", "site-packages")
        if directory.is_dir() and (directory == here or not (elsewhere or installed)):
            yield directory


def _within(directory: Path) -> Loose:
    """Small ones first, so that large ones are what does not fit."""
    modules: list[Module] = []
    too_large: list[str] = []
    left = MAX_BYTES
    for name, files in sorted(_importable(directory), key=lambda it: (len(it[1]) > 1, it[0])):
        size = sum(file.stat().st_size for file in files)
        if size > left or len(files) > _MAX_FILES:
            too_large.append(name)
            continue
        left -= size
        modules.append(Module(name, tuple(file.relative_to(directory) for file in files)))
    return Loose(directory, tuple(modules), tuple(too_large))


def _importable(directory: Path) -> Iterator[tuple[str, list[Path]]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or not path.stem.isidentifier():
                continue
            if entry.is_file() and path.suffix == ".py" and path.stem not in _NOT_MODULES:
                yield path.stem, [path]
            elif entry.is_dir() and not path.suffix and (files := _package(path)):
                yield entry.name, files


def _package(path: Path) -> list[Path]:
    """All files of a package; of a directory without __init__.py, which can be imported as well,
    the modules only: the rest is as likely to be data."""
    if skipped(path) or any((path / it).exists() for it in ("pyproject.toml", "setup.py")):
        return []
    if not (path / "__init__.py").is_file():
        return sorted(file for file in path.glob("*.py") if file.is_file())
    files: list[Path] = []
    for root, directories, names in os.walk(path):
        directories[:] = sorted(it for it in directories if not skipped(Path(root, it)))
        files += (Path(root, name) for name in sorted(names) if not name.endswith(".pyc"))
        if len(files) > _MAX_FILES:
            break
    return [file for file in files if file.is_file()]


def skipped(directory: Path) -> bool:
    """Hidden, made by tools, or a virtual environment: nobody's source."""
    made = directory.name.startswith(".") or directory.name in ("__pycache__", "node_modules")
    return made or (directory / "pyvenv.cfg").exists()

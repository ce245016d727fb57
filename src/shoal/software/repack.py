"""An installed distribution made into a wheel again, from what its RECORD says was installed.

For what came from git, a URL or a file that is gone: what is imported there is then what is
imported here, and neither the origin nor its credentials are needed.
"""

from __future__ import annotations

import csv
import io
import os
import sysconfig
from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from email.parser import HeaderParser
from pathlib import Path

from shoal.errors import EnvironmentFailed
from shoal.software.classify import Repacked
from shoal.software.wheels import Wheel

# Written by whoever installs; direct_url.json may hold a path or a token besides.
_NOT_REPACKED = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


def repack(item: Repacked) -> Wheel:
    try:
        record = (item.metadata / "RECORD").read_text(encoding="utf-8")
        tags = _tags((item.metadata / "WHEEL").read_text(encoding="utf-8"))
        files = dict(_files(item, record))
    except OSError as error:
        raise EnvironmentFailed(
            f"{item.name} {item.version} was installed from {item.origin}, and what is installed "
            f"here is not complete: {error}",
            hint=f"Reinstall it, or leave it out: package_sync_ignore=[{item.name!r}].",
        ) from error
    information = item.metadata.name
    filename = f"{information.removesuffix('.dist-info')}-{tags}.whl"
    return Wheel(filename, information, files, frozenset(filter(_is_script, files)))


def _files(item: Repacked, record: str) -> Iterator[tuple[str, bytes | Path]]:
    site, information = item.metadata.parent, item.metadata.name
    stem = information.removesuffix(".dist-info")
    generated = _entry_points(item.metadata)
    for name in _recorded(record):
        if name.startswith(f"{information}/") and Path(name).name in _NOT_REPACKED:
            continue
        if not name.startswith(".."):
            (site / name).stat()  # told now, when it is missing
            yield name, site / name
        elif (outside := _outside(site, name, generated)) is not None:
            inside, content = outside
            yield f"{stem}.data/{inside}", content


def _recorded(record: str) -> Iterable[str]:
    for row in csv.reader(io.StringIO(record)):
        name = row[0] if row else ""
        if name and not name.startswith("/") and "__pycache__/" not in name:
            yield name


def _outside(site: Path, name: str, generated: frozenset[str]) -> tuple[str, bytes | Path] | None:
    """A script or a data file, and its name below .data; None for the scripts that an installer
    makes from entry points."""
    file = Path(os.path.normpath(site / name))
    scripts = Path(sysconfig.get_path("scripts"))
    if file.parent.name == scripts.name:
        if file.stem in generated or file.name in generated:
            return None
        return f"scripts/{file.name}", _script(file.read_bytes())
    prefix = _prefix(site)
    if prefix is None or prefix not in file.parents:
        return None
    return f"data/{file.relative_to(prefix).as_posix()}", file


def _prefix(site: Path) -> Path | None:
    """The prefix that a site-packages directory is of."""
    below = Path(sysconfig.get_path("purelib")).relative_to(sysconfig.get_path("data"))
    parts = len(below.parts)
    return site.parents[parts - 1] if len(site.parents) >= parts else None


def _script(content: bytes) -> bytes:
    """With the first line that tells an installer to write its own interpreter there."""
    first, newline, rest = content.partition(b"\n")
    python = first.startswith(b"#!") and b"python" in first
    return b"#!python" + newline + rest if python else content


def _entry_points(metadata: Path) -> frozenset[str]:
    parser = ConfigParser(delimiters=("=",), strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    file = metadata / "entry_points.txt"
    if file.exists():
        parser.read_string(file.read_text(encoding="utf-8"))
    sections = [it for it in ("console_scripts", "gui_scripts") if parser.has_section(it)]
    return frozenset(name for section in sections for name in parser.options(section))


def _is_script(name: str) -> bool:
    return ".data/scripts/" in name


def _tags(wheel: str) -> str:
    """The compressed tag set of a file name: py2.py3-none-any."""
    headers = HeaderParser().parsestr(wheel, headersonly=True)
    parts = [tag.split("-") for tag in headers.get_all("Tag") or ["py3-none-any"]]
    return "-".join(".".join(dict.fromkeys(part)) for part in zip(*parts, strict=True))

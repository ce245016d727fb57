"""Wheels written here: the same files give the same bytes, whoever builds them and when.

Fixed dates, sorted entries, a RECORD of our own: an environment's id must not change while nothing
in it does. (The format: packaging.python.org/specifications/binary-distribution-format.)
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from shoal.software.classify import Modules

LOOSE_NAME = "shoal-loose-modules"
_DATE = (1980, 1, 1, 0, 0, 0)
_SIGNATURES = ("RECORD", "RECORD.jws", "RECORD.p7s")


class Wheel(msgspec.Struct, frozen=True):
    """What is in a wheel. `files`: by their names in it, as bytes or as where they lie."""

    filename: str
    information: str  # its .dist-info directory
    files: Mapping[str, bytes | Path]
    executable: frozenset[str] = frozenset()


def from_modules(items: Iterable[Modules], but: frozenset[str] = frozenset()) -> Wheel | None:
    """One wheel of all loose modules, less those called as in `but`; None if none is left. Of two
    directories with a module of one name the first wins. The version is a hash of the content."""
    files: dict[str, bytes | Path] = {}
    taken = set(but)
    for item in items:
        for module in item.modules:
            if module.name not in taken:
                files |= {it.as_posix(): item.directory / it for it in module.files}
        taken.update(module.name for module in item.modules)
    if not files:
        return None
    version = f"0+{_hash_of(files)[:16]}"
    stem = f"{LOOSE_NAME.replace('-', '_')}-{version}"
    files[f"{stem}.dist-info/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {LOOSE_NAME}\nVersion: {version}\n".encode()
    )
    files[f"{stem}.dist-info/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: shoal\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    return Wheel(f"{stem}-py3-none-any.whl", f"{stem}.dist-info", files)


def read(wheel: Path) -> Wheel:
    """What another builder made."""
    with zipfile.ZipFile(wheel) as archive:
        entries = [it for it in archive.infolist() if not it.is_dir()]
        information = next(
            name for it in entries if (name := it.filename.split("/")[0]).endswith(".dist-info")
        )
        unsigned = [
            it for it in entries if it.filename not in {f"{information}/{n}" for n in _SIGNATURES}
        ]
        return Wheel(
            wheel.name,
            information,
            {it.filename: archive.read(it) for it in unsigned},
            frozenset(it.filename for it in unsigned if it.external_attr >> 16 & 0o111),
        )


def write(wheel: Wheel, directory: Path) -> Path:
    """Files in the order of their names, metadata last."""
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    ordered = sorted(wheel.files, key=lambda name: (name.startswith(wheel.information), name))
    made = directory / wheel.filename
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ordered:
            data = _content(wheel.files[name])
            rows.writerow((name, f"sha256={_urlsafe(data)}", len(data)))
            archive.writestr(_entry(name, name in wheel.executable), data)
        rows.writerow((f"{wheel.information}/RECORD", "", ""))
        archive.writestr(_entry(f"{wheel.information}/RECORD", executable=False), record.getvalue())
    return made


def provides(wheel: Path) -> frozenset[str]:
    """The names of the modules and packages that it brings."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    return frozenset(it.split(".")[0] for it in tops if not it.endswith((".dist-info", ".data")))


def _hash_of(files: Mapping[str, bytes | Path]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(_content(files[name])).digest())
    return digest.hexdigest()


def _content(source: bytes | Path) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _entry(name: str, executable: bool) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.create_system = 3  # Unix, wherever it is written
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")

"""Wheels written here: loose modules, and distributions repacked from their installed files.

The same files give the same bytes (fixed dates, sorted entries), so that an environment's id does
not change while nothing in it does.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path

import msgspec

from shoal.errors import EnvironmentFailed
from shoal.software.classify import Repacked
from shoal.software.scan import Loose

LOOSE_NAME = "shoal-loose-modules"
_DATE = (1980, 1, 1, 0, 0, 0)
_NOT_REPACKED = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


class Content(msgspec.Struct, frozen=True):
    """A wheel's file name and bytes."""

    filename: str
    data: bytes


def from_modules(loose: Iterable[Loose]) -> Content:
    """One wheel of all loose modules; its version is a hash of them. The first directory wins."""
    files: dict[str, bytes] = {}
    for it in loose:
        for file in it.files:
            files.setdefault(file.as_posix(), (it.directory / file).read_bytes())
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    version = f"0+{digest.hexdigest()[:16]}"
    stem = f"{LOOSE_NAME.replace('-', '_')}-{version}"
    files[f"{stem}.dist-info/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {LOOSE_NAME}\nVersion: {version}\n".encode()
    )
    files[f"{stem}.dist-info/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: shoal\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    return Content(f"{stem}-py3-none-any.whl", write(files, f"{stem}.dist-info"))


def repack(item: Repacked) -> Content:
    """A wheel of a distribution's files as they are installed."""
    site, information = item.metadata.parent, item.metadata.name
    try:
        record = (item.metadata / "RECORD").read_text(encoding="utf-8")
        headers = HeaderParser().parsestr((item.metadata / "WHEEL").read_text(encoding="utf-8"))
        files = {
            name: (site / name).read_bytes()
            for name in _recorded(record)
            if not (name.startswith(f"{information}/") and Path(name).name in _NOT_REPACKED)
        }
    except OSError as error:
        raise EnvironmentFailed(
            f"{item.name} {item.version} was installed from {item.origin}, and its installed files "
            f"are not complete: {error}",
            hint=f"Reinstall {item.name}, or leave it out with package_sync_ignore.",
        ) from error
    stem = information.removesuffix(".dist-info")
    return Content(f"{stem}-{_tags(headers.get_all('Tag') or [])}.whl", write(files, information))


def _recorded(record: str) -> Iterable[str]:
    """Paths below site-packages: scripts are made again by the installer from the entry points."""
    for row in csv.reader(io.StringIO(record)):
        name = row[0] if row else ""
        if name and not name.startswith(("..", "/")) and "__pycache__/" not in name:
            yield name


def _tags(tags: list[str]) -> str:
    """The compressed tag set of a file name: py2.py3-none-any."""
    parts = [tag.split("-") for tag in tags or ["py3-none-any"]]
    return "-".join(".".join(dict.fromkeys(part)) for part in zip(*parts, strict=True))


def write(files: dict[str, bytes], information: str) -> bytes:
    """A wheel's bytes, with its RECORD; files in order of their names, metadata last."""
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    buffer = io.BytesIO()
    ordered = sorted(files, key=lambda name: (name.startswith(f"{information}/"), name))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ordered:
            rows.writerow((name, f"sha256={_urlsafe(files[name])}", len(files[name])))
            archive.writestr(_entry(name), files[name])
        rows.writerow((f"{information}/RECORD", "", ""))
        archive.writestr(_entry(f"{information}/RECORD"), record.getvalue())
    return buffer.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")

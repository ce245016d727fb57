"""The server's one secret: 32 bytes in a file of their own, from which all others are derived.

A key in a file can be backed up, and kept away from the database and its backups. It is created by
whoever starts first: the bytes are complete on disk before the file has its name, and only one
process can give it that name, so two racing starts end up with one key. Whoever has the key can act
as the server in every cluster; whoever lost it can no longer reach the running ones.

Knows nothing of clusters or certificates.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shoal.errors import NotAllowed, StoreFault

_SIZE_BYTES = 32
_TEXT = re.compile(rb"[0-9a-f]{64}\s*")  # text, so that it can be kept where passwords are
_ROOM = (errno.ENOSPC, errno.EDQUOT)
_RESTORE = "Restore it from a backup: without it the server cannot reach its running clusters."


class InstallationKey(msgspec.Struct, frozen=True):
    secret: bytes  # exactly 32 bytes

    def __repr__(self) -> str:
        return f"InstallationKey(fingerprint={self.fingerprint()!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("fingerprint", self.fingerprint())]

    def derive(self, purpose: str, *names: str) -> bytes:
        """32 bytes for one purpose (HKDF-SHA256, RFC 5869); they tell nothing of any others."""
        info = "/".join(["shoal", "1", *(quote(name, safe="") for name in (purpose, *names))])
        return HKDF(SHA256(), length=32, salt=None, info=info.encode()).derive(self.secret)

    def fingerprint(self) -> str:
        """Tells keys apart without giving any away: a record notes which key it belongs to."""
        return self.derive("fingerprint").hex()[:16]


def create_or_read(path: Path) -> InstallationKey:
    """The key in the file `path`, which is created if it is not there."""
    try:
        if not path.exists():
            _create(path)
        mode, text = _read(path)
    except OSError as error:
        raise StoreFault(
            f"The installation key {path} cannot be read or written: {error.strerror or error}.",
            hint="Free some space." if error.errno in _ROOM else "",
        ) from error
    _check_private(path, mode)
    return _parse(path, text)


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, secrets.token_hex(_SIZE_BYTES) + "\n")
        with suppress(FileExistsError):  # somebody else was first: theirs is the key
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _write(draft: Path, text: str) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # Windows cannot open a directory, and records names by itself
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> tuple[int, bytes]:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_mode, file.read(1024)


def _check_private(path: Path, mode: int) -> None:
    if os.name != "nt" and stat.S_IMODE(mode) & 0o077:
        raise NotAllowed(
            f"Others on this machine may read the installation key {path}.",
            hint=f"If nobody untrusted did, run: chmod 600 {path}",
        )


def _parse(path: Path, text: bytes) -> InstallationKey:
    if not _TEXT.fullmatch(text):
        raise StoreFault(f"{path} does not hold an installation key.", hint=_RESTORE)
    return InstallationKey(bytes.fromhex(text.decode()))

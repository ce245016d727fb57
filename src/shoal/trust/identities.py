"""A peer's identity as text: what it presents, what it proves it with, and whom it believes.

The kinds have the same fields and are types of their own, because only a head can sign. All text is
PEM. `write` is for the processes that can only read files (Dask's, on a VM).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import msgspec

from shoal.trust.secret import Secret


class HeadIdentity(msgspec.Struct, frozen=True):
    ca_pem: str
    certificate_pem: str  # issued by the CA, and itself the issuer of workers
    key_pem: Secret


class WorkerIdentity(msgspec.Struct, frozen=True):
    ca_pem: str
    certificate_pem: str  # the worker's own, then the head's that issued it
    key_pem: Secret  # made on the VM, and never leaves it


class ClientIdentity(msgspec.Struct, frozen=True):
    """Of those who only dial: the server and the users."""

    ca_pem: str
    certificate_pem: str
    key_pem: Secret


Identity: TypeAlias = HeadIdentity | WorkerIdentity | ClientIdentity


class IdentityFiles(msgspec.Struct, frozen=True):
    ca: Path
    certificate: Path
    key: Path


def write(identity: Identity, directory: Path) -> IdentityFiles:
    """Put an identity into a directory that is ours alone, replacing the one there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return IdentityFiles(
        ca=_replace(directory / "ca.pem", identity.ca_pem),
        certificate=_replace(directory / "certificate.pem", identity.certificate_pem),
        key=_replace(directory / "key.pem", identity.key_pem.text),
    )


def _replace(path: Path, text: str) -> Path:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return draft.replace(path)

"""Wheels on this VM, by SHA-256: checked before they have their name, so that a name is a promise."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterable
from pathlib import Path

from shoal.errors import InvalidRequest, NotFound

_NAME = re.compile(r"[0-9a-f]{64}")


def find(directory: Path, sha256: str) -> Path:
    path = directory / sha256
    if not _NAME.fullmatch(sha256) or not path.exists():
        raise NotFound(f"There is no wheel {sha256} here.")
    return path


async def keep(directory: Path, sha256: str, content: AsyncIterable[bytes]) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=".new-")
    draft = Path(name)
    digest = hashlib.sha256()
    try:
        with os.fdopen(descriptor, "wb") as file:
            async for chunk in content:
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != sha256:
            raise InvalidRequest(f"The content is not that of the wheel {sha256}.")
        draft.replace(directory / sha256)
    finally:
        draft.unlink(missing_ok=True)

"""Wheels on this VM, named by SHA-256 once that is checked: a name here is a promise."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterable, Iterator
from pathlib import Path
from typing import IO

from shoal.errors import InvalidRequest, NotFound

_NAME = re.compile(r"[0-9a-f]{64}")


def find(directory: Path, sha256: str) -> Path:
    path = directory / sha256
    if not _NAME.fullmatch(sha256) or not path.exists():
        raise NotFound(f"There is no wheel {sha256} here.")
    return path


async def keep(directory: Path, sha256: str, content: AsyncIterable[bytes]) -> None:
    """Raises InvalidRequest when the content is another's. Writes are small, and not awaited."""
    with _draft(directory) as (file, path):
        digest = hashlib.sha256()
        async for chunk in content:
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        if digest.hexdigest() != sha256:
            raise InvalidRequest(f"The content is not that of the wheel {sha256}.")
        os.replace(path, directory / sha256)


@contextlib.contextmanager
def _draft(directory: Path) -> Iterator[tuple[IO[bytes], Path]]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)

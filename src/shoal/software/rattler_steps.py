"""What is asked of py-rattler: conda packages locked, and installed from a lock.

A program of its own, run by path with the Python of an environment that has py-rattler and nothing
else (rattler.py makes it), so it imports nothing of Shoal. One step a run: its name and its inputs
as JSON are the arguments; answers are JSON on stdout, progress is lines on stderr.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from rattler import (
    Channel,
    GenericVirtualPackage,
    PackageName,
    PrefixRecord,
    RepoDataRecord,
    Version,
    install,
    solve,
)
from rattler.lock import LockChannel, LockFile, LockPlatform
from rattler.package import BuildString
from rattler.platform import Subdir

_ENVIRONMENT = "default"


def lock_installed(metadata: list[str], platform: str, lock: str) -> list[dict[str, str]]:
    """The very packages that a prefix has. `metadata`: files of its conda-meta."""
    records = [PrefixRecord.from_path(Path(it)) for it in metadata]
    channels = list(dict.fromkeys(_channel(it.url) for it in records))
    return _written(records, channels, platform, lock)


def lock_solved(
    specs: list[str], channels: list[str], platform: str, virtual: dict[str, str], lock: str
) -> list[dict[str, str]]:
    """What fits together, and is for `platform`, whose system is told by virtual packages."""
    system = [
        GenericVirtualPackage(PackageName(name), Version(version), BuildString("0"))
        for name, version in virtual.items()
    ]
    sources = [Channel(it) for it in channels]
    platforms = [platform, "noarch"]
    records = asyncio.run(solve(sources, specs=specs, platforms=platforms, virtual_packages=system))
    return _written(records, channels, platform, lock)


def install_locked(lock: str, platform: str, prefix: str, cache: str) -> int:
    environment = LockFile.from_path(Path(lock)).environment(_ENVIRONMENT)
    [locked] = environment.platforms()
    records = environment.conda_repodata_records_for_platform(locked) or []
    for it in records:
        _must_be(it)
    asyncio.run(
        install(
            records,
            target_prefix=prefix,
            cache_dir=cache,
            platform=Subdir(platform),
            show_progress=False,
            reporter=_Told(len(records)),
        )
    )
    return len(records)


def _must_be(record: RepoDataRecord) -> None:
    """rattler takes a package of this machine's own file system as it is, whatever its hash."""
    if record.url.startswith("file://") and record.sha256 is not None:
        content = Path(url2pathname(urlsplit(record.url).path)).read_bytes()
        found = hashlib.sha256(content).digest()
        if found != record.sha256:
            raise SystemExit(
                f"{record.file_name}: its SHA-256 is {found.hex()}, and {record.sha256.hex()} is "
                "locked"
            )


class _Told:
    """Progress, as lines: how many are linked, and which is fetched."""

    def __init__(self, total: int) -> None:
        self.total, self.linked = total, 0

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        _tell("fetching", package_name)
        return 0

    def on_link_complete(self, index: int) -> None:
        self.linked += 1
        _tell("linked", self.linked, self.total)

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name.startswith("on_"):
            return lambda *_, **__: 0
        raise AttributeError(name)


def _written(
    records: list[RepoDataRecord], channels: list[str], platform: str, lock: str
) -> list[dict[str, str]]:
    target = LockPlatform(platform)
    made = LockFile([target])
    made.set_channels(_ENVIRONMENT, [LockChannel(it) for it in channels])
    for it in records:
        made.add_conda_package(_ENVIRONMENT, target, it)
    made.to_path(Path(lock))
    return [
        {"name": it.name.normalized, "version": str(it.version), "url": it.url} for it in records
    ]


def _channel(url: str) -> str:
    """https://host/channel/linux-64/name-1-0.conda is of https://host/channel."""
    return url.rsplit("/", 2)[0]


def _tell(*words: object) -> None:
    print(*words, file=sys.stderr, flush=True)


_STEPS: dict[str, Callable[..., object]] = {
    it.__name__: it for it in (lock_installed, lock_solved, install_locked)
}

if __name__ == "__main__":
    # rattler's threads crash a Python that ends while they do (0.28, seen 2026-11-26): after the
    # last word it is left at once.
    status = 1
    try:
        print(json.dumps(_STEPS[sys.argv[1]](**json.loads(sys.argv[2]))), flush=True)
        status = 0
    except SystemExit as refused:
        _tell(refused)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)

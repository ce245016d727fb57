"""A disk that is full: said in words, nothing is lost, and it goes on when there is room."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest

from tests.server.grounds import a_manifest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SIZE = 8 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "none", str(place)],
        capture_output=True,
        text=True,
    ) if sys.platform == "linux" else None  # fmt: skip
    if mounted is None or mounted.returncode != 0:
        pytest.skip(f"no small disk can be made: {mounted.stderr if mounted else sys.platform}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, *, but_bytes: int = 0) -> Path:
    """With one file, which can be removed."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
    with ballast.open("wb") as file:
        file.write(b"\0" * max(0, free - but_bytes))
    return ballast


def command(disk: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", "shoal.server", "--state-dir", str(disk), "--embedded", *flags]


@contextmanager
def server(disk: Path, *flags: str) -> Iterator[httpx2.Client]:
    log = (disk.parent / "log").open("ab")
    process = subprocess.Popen(command(disk, *flags), stdout=log, stderr=log)
    try:
        while not (disk / "server.json").exists():
            assert process.poll() is None, (disk.parent / "log").read_text()
            time.sleep(0.02)
        found = json.loads((disk / "server.json").read_bytes())
        headers = {"Authorization": f"Bearer {Path(found['token_file']).read_text().strip()}"}
        with httpx2.Client(base_url=found["url"], headers=headers, trust_env=False) as client:
            yield client
        assert process.poll() is None, (disk.parent / "log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        log.close()


def is_whole(disk: Path) -> bool:
    tests = []
    for name in ("shoal.db", "shoal-samples.db"):
        connection = sqlite3.connect(disk / name)
        tests.append(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
        connection.close()
    return all(tests)


@pytest.mark.parametrize("kib", [0, 60, 250])
def test_a_server_without_room_says_so_and_starts_when_there_is(disk: Path, kib: int) -> None:
    ballast = fill(disk, but_bytes=kib << 10)
    ran = subprocess.run(command(disk), capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Error: " in ran.stderr
    assert "ree some" in ran.stderr  # what to do
    ballast.unlink()
    with server(disk) as client:
        assert client.get("/v1/server").status_code == 200
    assert is_whole(disk)


def test_a_server_whose_disk_fills_up_goes_on_and_takes_more_when_there_is_room(disk: Path) -> None:
    manifest = a_manifest(lock="# " + "victim " * 40_000)
    path, content = f"/v1/environments/{manifest.id}", b"victim's own code"
    wheel = f"/v1/wheels/{manifest.wheels[0].sha256}"
    with server(disk) as client:
        (disk / "environments" / "env-foreign").mkdir(parents=True)
        ballast = fill(disk)
        refused = client.put(path, content=msgspec.json.encode(manifest))
        assert refused.status_code == 503, refused.text
        assert refused.json()["code"] == "store-fault"
        assert "Free some space" in refused.json()["hint"]
        refused = client.put(wheel, content=content)
        assert refused.status_code == 503, refused.text
        assert client.get("/v1/clusters").status_code == 200
        while "env-foreign" not in (disk.parent / "log").read_text():
            time.sleep(0.1)  # until a job has failed, too
        ballast.unlink()
        assert client.put(path, content=msgspec.json.encode(manifest)).status_code == 200
        assert client.put(wheel, content=content).status_code == 200
        assert client.get(path).json()["lock"] == manifest.lock
        assert list((disk / "wheels").rglob(".upload-*")) == []
    assert is_whole(disk)

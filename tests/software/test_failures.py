"""What goes wrong while an environment is made: the package by name, the installer's own words."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.errors import EnvironmentFailed
from shoal.software import build
from shoal.software.build import Fetched
from shoal.software.installer import passing
from shoal.software.realise import realise
from shoal.software.sync import SyncRequest, synchronise
from shoal.software.targets import here
from shoal.wire.environments import Manifest, environment_id
from tests.software.index import Index, serving
from tests.software.made import HEAD, editable, manifest, project, wheel


def locked(index: Index, file: Path, sha256: str) -> Manifest:
    name, version, *_ = file.name.split("-")
    url = f"{index.url.removesuffix('simple/')}files/{file.name}"
    lock = HEAD + (
        f'[[packages]]\nname = "{name}"\nversion = "{version}"\nindex = "{index.url}"\n'
        f'wheels = [{{ url = "{url}", hashes = {{ sha256 = "{sha256}" }} }}]\n'
    )
    it = here()
    return Manifest(environment_id(lock, it.python, it.platform, ()), lock, it.python, it.platform)


def failure(wanted: Manifest, root: Path, store: Path | None = None) -> EnvironmentFailed:
    (root / "wheels").mkdir(exist_ok=True)
    with pytest.raises(EnvironmentFailed) as failed:
        asyncio.run(
            realise(
                wanted,
                wheels=root / "wheels",
                prefix=root / "vm",
                store=store or root / "store",
                report=lambda it: None,
            )
        )
    return failed.value


def test_a_hash_that_differs_names_the_package(index: Index, wheels: Path, tmp_path: Path) -> None:
    file = wheel(wheels, "one")
    told = failure(locked(index, file, "0" * 64), tmp_path)
    assert told.message.startswith("one could not be installed:\n")
    assert hashlib.sha256(file.read_bytes()).hexdigest() in told.message


def test_a_wheel_for_another_machine_names_the_package(
    index: Index, wheels: Path, tmp_path: Path
) -> None:
    file = wheel(wheels, "one", tag="py3-none-macosx_11_0_arm64")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    told = failure(locked(index, file, sha256), tmp_path)
    assert told.message.startswith("one could not be installed:\n")
    assert "platform" in told.message


def test_a_package_that_is_gone_from_its_index_is_named(index: Index, tmp_path: Path) -> None:
    told = failure(locked(index, Path("one-1.0-py3-none-any.whl"), "0" * 64), tmp_path)
    assert told.message.startswith("one could not be installed:\n")


@pytest.mark.parametrize(
    ("status", "may_pass"),
    [("404 Not Found", False), ("403 Forbidden", False), ("429 Too Many Requests", True)],
)
def test_what_an_index_refuses_will_not_pass_and_what_it_puts_off_may(
    status: str, may_pass: bool
) -> None:
    words = f"""error: Failed to download `brittle==1.0`
      cause: Failed to fetch: http://127.0.0.1:1/files/brittle-1.0-py3-none-any.whl
      cause: HTTP status client error ({status}) for url (http://127.0.0.1:1/files/brittle)"""
    assert passing(words) is may_pass


def test_git_that_asks_for_credentials_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_OFFLINE", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    with serving(tmp_path, user="ada:secret") as remote:
        host = remote.url.partition("@")[2].partition("/")[0]
        url = f"git+http://bob:hunter2@{host}/private.git@{'0' * 40}"
        with pytest.raises(EnvironmentFailed) as failed:
            build.fetched(Fetched("private", url, "git"), tmp_path / "cache")
    told = failed.value
    assert told.message.startswith("private could not be built from git:\n")
    assert told.hint.startswith("git asks for credentials")
    assert "hunter2" not in str(told)


@pytest.mark.usefixtures("index")
def test_a_project_that_does_not_build_shows_its_backends_words(
    site: Path, work: Path, tmp_path: Path
) -> None:
    mine = project(tmp_path, "mine")
    backend = "print('fatal: no such header: sea.h')\n    raise OSError(7)"
    (mine / "backend.py").write_text(f"def build_wheel(*given):\n    {backend}\n")
    editable(mine, site)
    request = SyncRequest(working_directory=work, path=(str(site),))
    with pytest.raises(EnvironmentFailed) as failed:
        synchronise(request, cache=tmp_path / "cache")
    assert f"The wheel of mine ({mine}) could not be built" in failed.value.message
    for words in ("fatal: no such header: sea.h", "OSError: 7"):
        assert words in failed.value.message
    assert "uv build" in failed.value.hint


# -- a disk that is full -------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """160 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", disk]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here: that needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.usefixtures("index")
def test_no_room_for_the_wheel_of_loose_modules_is_told_and_nothing_is_left(
    work: Path, small_disk: Path
) -> None:
    (work / "package").mkdir()
    (work / "package" / "__init__.py").touch()
    (work / "package" / "data.bin").write_bytes(os.urandom(300_000))
    with pytest.raises(EnvironmentFailed) as failed:
        synchronise(SyncRequest(working_directory=work, path=()), cache=small_disk)
    assert "There is no room left for the environment's wheels" in failed.value.message
    assert "SHOAL_STATE_DIR" in failed.value.hint
    assert not [it for it in small_disk.rglob("*") if it.suffix == ".whl" or "making" in it.name]


def test_a_vm_whose_disk_is_full_is_told_to_take_a_larger_one(
    small_disk: Path, tmp_path: Path
) -> None:
    built = wheel(tmp_path / "built", "one")
    wanted = manifest(built, store=tmp_path / "wheels")
    (small_disk / "filler").write_bytes(bytes(100_000))
    told = failure(wanted, tmp_path, small_disk / "store")
    assert told.message.startswith("The disk of this VM is full")
    assert "worker_disk_size" in told.hint
    assert "package_sync_ignore" not in told.hint
    assert not [it for it in (small_disk / "store").iterdir() if it.is_dir()]
    assert not (tmp_path / "vm").exists()

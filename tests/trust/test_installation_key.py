from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from rich.pretty import pretty_repr

from shoal.errors import NotAllowed, StoreFault
from shoal.trust.installation_key import InstallationKey, create_or_read


def test_a_key_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    path = tmp_path / "state" / "installation.key"
    key = create_or_read(path)
    assert create_or_read(path) == key
    assert len(key.secret) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == [path.name]


def test_racing_starts_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "installation.key"
    barrier = Barrier(8)

    def start(_: int) -> InstallationKey:
        barrier.wait()
        return create_or_read(path)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
    assert os.listdir(tmp_path) == [path.name]


def test_a_key_that_others_may_read_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "installation.key"
    create_or_read(path)
    path.chmod(0o640)
    with pytest.raises(NotAllowed, match="chmod 600"):
        create_or_read(path)


@pytest.mark.parametrize("content", ["", "00" * 31, "00" * 33, "zz" * 32, "\udcff"])
def test_a_damaged_key_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "installation.key"
    path.write_bytes(content.encode(errors="surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(StoreFault, match="backup"):
        create_or_read(path)
    assert path.read_bytes() == content.encode(errors="surrogateescape")


def test_a_place_that_cannot_hold_a_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFault, match="cannot be read or written"):
        create_or_read(tmp_path / "file" / "installation.key")


def test_a_key_does_not_show_itself() -> None:
    key = InstallationKey(b"sixteen-letters!" * 2)
    for shown in (repr(key), str(key), pretty_repr(key)):
        assert "sixteen" not in shown
        assert key.secret.hex() not in shown
        assert key.fingerprint() in shown


def test_what_is_derived_depends_on_key_purpose_and_every_name() -> None:
    key = InstallationKey(bytes(32))
    derived = [
        key.derive("ca", "a"),
        key.derive("ca", "b"),
        key.derive("ca", "a", "b"),
        key.derive("ca", "a/b"),
        key.derive("head", "a"),
        InstallationKey(b"1" * 32).derive("ca", "a"),
    ]
    assert len(set(derived)) == len(derived)
    assert key.derive("ca", "a") == derived[0]

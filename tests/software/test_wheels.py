"""Wheels written here are read by installers, and the same files give the same bytes."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.software import wheels
from shoal.software.classify import Modules
from shoal.software.loose import Module
from shoal.software.wheels import Wheel

INFORMATION = "thing-1.0.dist-info"
_names = st.from_regex(r"thing/[a-z]{1,8}(/[a-z]{1,8})?\.py", fullmatch=True)
_files = st.dictionaries(_names, st.binary(max_size=200), max_size=6)


def written(directory: Path, files: dict[str, bytes | Path], executable: str = "") -> Path:
    wheel = Wheel("thing-1.0-py3-none-any.whl", INFORMATION, files, frozenset({executable}))
    return wheels.write(wheel, directory)


@given(_files)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes | Path]
) -> None:
    directory = tmp_path_factory.mktemp("wheels")
    assert wheels.read(written(directory, files)).files == files


@given(_files)
def test_the_same_files_in_another_order_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes | Path]
) -> None:
    one = tmp_path_factory.mktemp("one")
    first = written(one, files).read_bytes()
    assert written(one, dict(reversed(files.items()))).read_bytes() == first


def test_every_file_is_in_the_record(tmp_path: Path) -> None:
    wheel = written(tmp_path, {"thing/__init__.py": b"1", f"{INFORMATION}/METADATA": b"2"})
    with zipfile.ZipFile(wheel) as archive:
        rows = list(csv.reader(io.StringIO(archive.read(f"{INFORMATION}/RECORD").decode())))
        assert [row[0] for row in rows] == archive.namelist()
    assert [row[2] for row in rows] == ["1", "1", ""]


def test_executable_files_stay_so(tmp_path: Path) -> None:
    name = "thing-1.0.data/scripts/tool"
    wheel = wheels.read(written(tmp_path, {name: b"#!/bin/sh", "thing.py": b""}, name))
    assert wheel.executable == {name}


def test_another_builders_record_is_replaced(tmp_path: Path) -> None:
    theirs = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(theirs, "w") as archive:
        archive.writestr(f"{INFORMATION}/RECORD", "nonsense")
        archive.writestr("thing.py", "")
    assert set(wheels.read(theirs).files) == {"thing.py"}


def modules(directory: Path, **sources: str) -> Modules:
    directory.mkdir(exist_ok=True)
    for name, source in sources.items():
        (directory / f"{name}.py").write_text(source)
    return Modules(directory, tuple(Module(name, (Path(f"{name}.py"),)) for name in sources))


def test_loose_modules_have_a_version_of_their_content(tmp_path: Path) -> None:
    first = wheels.from_modules([modules(tmp_path / "a", one="1")])
    again = wheels.from_modules([modules(tmp_path / "b", one="1")])
    other = wheels.from_modules([modules(tmp_path / "a", one="2")])
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.filename == again.filename != other.filename


def test_the_first_of_two_modules_of_one_name_wins(tmp_path: Path) -> None:
    both = [modules(tmp_path / "a", one="first"), modules(tmp_path / "b", one="second", two="")]
    made = wheels.from_modules(both)
    assert made is not None
    assert made.files["one.py"] == tmp_path / "a" / "one.py"
    assert "two.py" in made.files


def test_modules_that_a_project_brings_are_not_brought_twice(tmp_path: Path) -> None:
    assert wheels.from_modules([modules(tmp_path, one="1")], frozenset({"one"})) is None


def test_a_wheel_tells_what_can_be_imported_from_it(tmp_path: Path) -> None:
    files: dict[str, bytes | Path] = {
        "thing/__init__.py": b"",
        "single.py": b"",
        "compiled.cpython-311-x86_64-linux-gnu.so": b"",
        f"{INFORMATION}/METADATA": b"",
        "thing-1.0.data/scripts/tool": b"",
    }
    assert wheels.provides(written(tmp_path, files)) == {"thing", "single", "compiled"}

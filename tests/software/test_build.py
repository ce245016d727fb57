"""Wheels are made once for the same source, with nothing left in the user's checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.errors import EnvironmentFailed
from shoal.software import build, wheels
from shoal.software.classify import Editable, Repacked
from tests.software.made import Installed, project


def of(project: Path) -> Editable:
    return Editable(project.name, "1.0", project)


def test_an_unchanged_project_is_built_once(work: Path, tmp_path: Path) -> None:
    mine = project(work, "mine")
    first = build.editable(of(mine), tmp_path / "cache")
    (mine / "backend.py").read_text()
    before = first.path.stat().st_mtime_ns
    again = build.editable(of(mine), tmp_path / "cache")
    assert (again.path, again.wheel) == (first.path, first.wheel)
    assert (first.new, again.new) == (True, False)
    assert again.path.stat().st_mtime_ns == before


def test_another_machine_makes_the_same_bytes(work: Path, tmp_path: Path) -> None:
    mine = of(project(work, "mine"))
    made = [build.editable(mine, tmp_path / name).wheel for name in ("one", "two")]
    assert made[0] == made[1]


def test_an_edit_makes_another_wheel(work: Path, tmp_path: Path) -> None:
    mine = project(work, "mine")
    first = build.editable(of(mine), tmp_path / "cache")
    (mine / "mine" / "__init__.py").write_text("VALUE = 2\n")
    second = build.editable(of(mine), tmp_path / "cache")
    assert second.wheel.sha256 != first.wheel.sha256
    assert wheels.read(second.path).files["mine/__init__.py"] == b"VALUE = 2\n"


def test_what_tools_leave_in_a_project_does_not_change_it(work: Path) -> None:
    mine = project(work, "mine")
    before = build.tree_hash(mine)
    for made in (".git/HEAD", "build/lib/x.py", "mine/__pycache__/x.pyc", "env/pyvenv.cfg"):
        (mine / made).parent.mkdir(parents=True, exist_ok=True)
        (mine / made).write_text("")
    assert build.tree_hash(mine) == before
    (mine / "mine" / "build").mkdir()
    (mine / "mine" / "build" / "__init__.py").touch()  # a package of that name is source
    assert build.tree_hash(mine) != before


def test_a_build_that_fails_shows_the_builders_own_words(work: Path, tmp_path: Path) -> None:
    mine = project(work, "mine")
    (mine / "backend.py").write_text("def build_wheel(*_): raise ValueError('no compiler here')")
    with pytest.raises(EnvironmentFailed, match=r"wheel of mine(.|\n)*no compiler here"):
        build.editable(of(mine), tmp_path / "cache")


def test_a_pyproject_that_cannot_be_read_says_which(work: Path, tmp_path: Path) -> None:
    mine = project(work, "mine")
    (mine / "pyproject.toml").write_text("[build-system")
    with pytest.raises(EnvironmentFailed, match=r"pyproject\.toml cannot be read"):
        build.editable(of(mine), tmp_path / "cache")


def test_a_reinstalled_distribution_is_repacked_anew(site: Path, tmp_path: Path) -> None:
    metadata = Installed("thing").into(site)
    item = Repacked("thing", "1.0", metadata, "git")
    first = build.repacked(item, tmp_path)
    (site / "thing.py").write_text("VERSION = 'patched'\n")
    (metadata / "RECORD").write_text((metadata / "RECORD").read_text() + "\n")
    assert build.repacked(item, tmp_path).wheel.sha256 != first.wheel.sha256


@pytest.mark.long
def test_a_setuptools_project_is_built_without_litter(work: Path, tmp_path: Path) -> None:
    mine = work / "legacy"
    (mine / "legacy").mkdir(parents=True)
    (mine / "legacy" / "__init__.py").touch()
    (mine / "setup.py").write_text(
        "from setuptools import setup\nsetup(name='legacy', version='1.0', packages=['legacy'])\n"
    )
    before = sorted(mine.rglob("*"))
    built = build.editable(of(mine), tmp_path / "cache")
    assert "legacy/__init__.py" in wheels.read(built.path).files
    assert sorted(mine.rglob("*")) == before

"""Files that describe an environment, in place of the session's own."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shoal.errors import InvalidRequest
from shoal.software.installer import attempt
from shoal.software.sync import Synchronised, SyncRequest, synchronise
from tests.software.made import HEAD, project, wheel


def synced(software: Path, tmp_path: Path) -> Synchronised:
    return synchronise(
        SyncRequest(working_directory=software.parent, software=software), cache=tmp_path / "cache"
    )


def packages(made: Synchronised) -> dict[str, str]:
    return {it["name"]: it["version"] for it in tomllib.loads(made.manifest.lock)["packages"]}


@pytest.fixture
def dask(wheels: Path) -> None:
    wheel(wheels, "dask", "1.0")
    wheel(wheels, "distributed", "1.0")


@pytest.mark.usefixtures("index", "dask")
def test_requirements_are_resolved_and_projects_among_them_are_built(
    work: Path, tmp_path: Path
) -> None:
    project(work, "mine")
    (work / "requirements.txt").write_text("dask\ndistributed>=1\n-e ./mine\n")
    made = synced(work / "requirements.txt", tmp_path)
    assert packages(made) == {"dask": "1.0", "distributed": "1.0", "mine": "1.0"}
    [built] = made.manifest.wheels
    assert built.distribution == "mine"


@pytest.mark.usefixtures("index", "dask")
def test_versions_unlike_this_sessions_are_told(work: Path, tmp_path: Path) -> None:
    (work / "requirements.txt").write_text("dask\ndistributed\n")
    notes = synced(work / "requirements.txt", tmp_path).notes
    assert {it.name for it in notes} == {"dask", "distributed"}
    assert "1.0 there and" in notes[0].text


def test_a_lock_is_taken_as_it_is_with_its_local_wheels(work: Path, tmp_path: Path) -> None:
    local = wheel(work / "files", "dask", "1.0")
    lock = HEAD + (
        '[[packages]]\nname = "dask"\nversion = "1.0"\n'
        f'archive = {{ path = "files/{local.name}", hashes = {{ sha256 = "00" }} }}\n\n'
        '[[packages]]\nname = "distributed"\nversion = "1.0"\n'
        'wheels = [{ url = "https://files.pythonhosted.org/d.whl", hashes = { sha256 = "00" } }]\n'
    )
    (work / "pylock.toml").write_text(lock)
    made = synced(work / "pylock.toml", tmp_path)
    assert packages(made) == {"dask": "1.0", "distributed": "1.0"}
    assert list(made.wheel_paths.values()) == [local]


@pytest.mark.usefixtures("index", "dask")
def test_the_pip_section_of_an_environment_yml_is_resolved(work: Path, tmp_path: Path) -> None:
    (work / "environment.yml").write_text(
        "name: it\ndependencies:\n- python=3.11\n- pip\n- pip:\n  - dask\n  - distributed\n"
    )
    made = synced(work / "environment.yml", tmp_path)
    assert packages(made) == {"dask": "1.0", "distributed": "1.0"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("environment.yml", "dependencies: [numpy=1.26, python]", "asks conda for numpy=1.26"),
        ("environment.yml", "dependencies: 3", "cannot be read"),
        ("poetry.lock", "", "not a kind of file"),
        ("pylock.toml", HEAD, "has no dask and no distributed"),
    ],
)
def test_what_cannot_be_synced_is_refused_with_the_reason(
    work: Path, tmp_path: Path, name: str, content: str, words: str
) -> None:
    (work / name).write_text(content)
    with pytest.raises(InvalidRequest, match=words):
        synced(work / name, tmp_path)


def test_a_missing_file_is_told(work: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="There is no file"):
        synced(work / "pylock.toml", tmp_path)


@pytest.mark.long
def test_the_lock_of_a_uv_project_is_exported_and_the_project_built(
    work: Path, tmp_path: Path
) -> None:
    mine = project(work, "mine")
    (mine / "pyproject.toml").write_text(
        (mine / "pyproject.toml").read_text()
        + 'requires-python = ">=3.11"\ndependencies = ["dask", "distributed"]\n'
    )
    assert attempt(["lock"], cwd=mine).returncode == 0
    made = synced(mine / "uv.lock", tmp_path)
    assert {"dask", "distributed", "mine", "tornado"} <= packages(made).keys()
    assert [it.distribution for it in made.manifest.wheels] == ["mine"]

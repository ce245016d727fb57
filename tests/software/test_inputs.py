"""Files that describe an environment, in place of the session's own."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shoal.client import arguments
from shoal.errors import InvalidRequest
from shoal.software import inputs
from shoal.software.agreement import in_this_session
from shoal.software.installer import attempt
from shoal.software.sync import Synchronised, SyncRequest, synchronise
from tests.software.made import HEAD, project, wheel

ROOT = Path(__file__).parents[2]


def synced(software: Path, tmp_path: Path) -> Synchronised:
    return synchronise(
        SyncRequest(working_directory=software.parent, software=software), cache=tmp_path / "cache"
    )


def packages(made: Synchronised) -> dict[str, str]:
    return {it["name"]: it["version"] for it in tomllib.loads(made.manifest.lock)["packages"]}


HERE = in_this_session()
DASK = {"dask": HERE["dask"], "distributed": HERE["distributed"]}


@pytest.fixture
def dask(wheels: Path) -> None:
    for name, version in DASK.items():
        wheel(wheels, name, version)


@pytest.mark.usefixtures("index", "dask")
def test_requirements_are_resolved_and_projects_among_them_are_built(
    work: Path, tmp_path: Path
) -> None:
    project(work, "mine")
    (work / "requirements.txt").write_text("dask\ndistributed>=1\n-e ./mine\n")
    made = synced(work / "requirements.txt", tmp_path)
    assert packages(made) == {**DASK, "mine": "1.0"}
    [built] = made.manifest.wheels
    assert built.distribution == "mine"


@pytest.mark.usefixtures("index", "dask")
def test_versions_a_little_unlike_this_sessions_are_told(
    work: Path, wheels: Path, tmp_path: Path
) -> None:
    near = ".".join([*HERE["cloudpickle"].split(".")[:2], "99"])
    wheel(wheels, "cloudpickle", near)
    wheel(wheels, "tornado", f"{HERE['tornado'].split('.')[0]}.99")
    (work / "requirements.txt").write_text("dask\ndistributed\ncloudpickle\ntornado")
    notes = synced(work / "requirements.txt", tmp_path).notes
    assert [it.name for it in notes] == ["cloudpickle", "tornado"]
    assert notes[0].text == f"{near} there and {HERE['cloudpickle']} in this session"


@pytest.mark.parametrize(
    ("name", "version"),
    [("dask", "1.0"), ("distributed", "1.0"), ("cloudpickle", "2.9"), ("msgpack", "0.6")],
)
@pytest.mark.usefixtures("index", "dask")
def test_versions_that_could_not_talk_to_this_session_are_refused(
    work: Path, wheels: Path, tmp_path: Path, name: str, version: str
) -> None:
    wheel(wheels, name, version)
    (work / "requirements.txt").write_text(f"dask\ndistributed\n{name}=={version}")
    with pytest.raises(InvalidRequest) as refused:
        synced(work / "requirements.txt", tmp_path)
    assert f"{name}: {version} there and {HERE[name]} in this session" in refused.value.message
    assert f"{name}=={HERE[name]}" in refused.value.hint


def test_a_lock_for_another_python_is_refused(work: Path, tmp_path: Path) -> None:
    head = HEAD.replace(">=3.11", ">=3.99")
    lock = "".join(
        f'[[packages]]\nname = "{name}"\nversion = "{version}"\n'
        f'wheels = [{{ url = "https://h/{name}.whl", hashes = {{ sha256 = "00" }} }}]\n\n'
        for name, version in DASK.items()
    )
    (work / "pylock.toml").write_text(head + lock)
    with pytest.raises(InvalidRequest, match=r"is for Python >=3\.99, and this session runs 3\."):
        synced(work / "pylock.toml", tmp_path)


def test_a_lock_is_taken_as_it_is_with_its_local_wheels(work: Path, tmp_path: Path) -> None:
    local = wheel(work / "files", "dask", DASK["dask"])
    lock = HEAD + (
        f'[[packages]]\nname = "dask"\nversion = "{DASK["dask"]}"\n'
        f'archive = {{ path = "files/{local.name}", hashes = {{ sha256 = "00" }} }}\n\n'
        f'[[packages]]\nname = "distributed"\nversion = "{DASK["distributed"]}"\n'
        'wheels = [{ url = "https://files.pythonhosted.org/d.whl", hashes = { sha256 = "00" } }]\n'
    )
    for name in ("pylock.toml", "pylock.production.toml"):
        (work / name).write_text(lock)
        made = synced(work / name, tmp_path)
        assert packages(made) == DASK
    assert list(made.wheel_paths.values()) == [local]


@pytest.mark.parametrize("name", ["reqs.in", "requirements-dev.txt", "requirements.lock"])
@pytest.mark.usefixtures("index", "dask")
def test_requirements_go_by_several_names(work: Path, tmp_path: Path, name: str) -> None:
    (work / name).write_text("dask\ndistributed\n")
    assert packages(synced(work / name, tmp_path)) == DASK


@pytest.mark.usefixtures("index", "dask")
def test_a_pyproject_is_built_and_what_it_needs_resolved(work: Path, tmp_path: Path) -> None:
    mine = project(work, "mine")
    (mine / "pyproject.toml").write_text(
        (mine / "pyproject.toml").read_text() + 'dependencies = ["dask", "distributed"]\n'
    )
    made = synced(mine / "pyproject.toml", tmp_path)
    assert packages(made) == {**DASK, "mine": "1.0"}
    assert [it.distribution for it in made.manifest.wheels] == ["mine"]


def test_each_kind_of_file_is_in_the_documentation() -> None:
    page = (ROOT / "docs" / "concepts" / "environments.md").read_text(encoding="utf-8")
    for it in inputs.INPUTS:
        assert f"| {', '.join(f'`{name}`' for name in it.names)} | {it.meaning} |" in page


@pytest.mark.parametrize(
    "name", ["pylock.toml", "reqs.in", "environment.yml", "a/b", "requirements.lock", "x.toml"]
)
def test_what_is_accepted_is_taken_for_a_file(name: str) -> None:
    assert arguments.environment_file(name)
    assert not arguments.environment_file(name.partition(".")[0].replace("/", "-"))


@pytest.mark.parametrize("file", ["environment.yml", "environment.yaml"])
@pytest.mark.usefixtures("index", "dask")
def test_the_pip_section_of_an_environment_yml_is_resolved(
    work: Path, tmp_path: Path, file: str
) -> None:
    (work / file).write_text(
        "name: it\ndependencies:\n- python=3.11\n- pip\n- pip:\n  - dask\n  - distributed\n"
    )
    assert packages(synced(work / file, tmp_path)) == DASK


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
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

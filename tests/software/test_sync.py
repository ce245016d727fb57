"""From a session to a manifest: what is here is there, and unchanged means the same id."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from shoal.errors import EnvironmentFailed
from shoal.software import wheels as wheel_files
from shoal.software.realise import PythonSource, realise
from shoal.software.sync import (
    Note,
    Synchronised,
    SyncProgress,
    SyncRequest,
    Target,
    here,
    note_lines,
    report,
    synchronise,
)
from tests.software.index import Index
from tests.software.made import Installed, editable, project, wheel

BASE = Path(getattr(sys, "_base_executable", sys.executable))


@pytest.fixture
def request_(site: Path, work: Path) -> SyncRequest:
    return SyncRequest(working_directory=work, path=(str(site),))


def kinds(made: Synchronised) -> dict[str, str]:
    return {it.name: it.source for it in made.manifest.packages}


@pytest.mark.usefixtures("index")
def test_everything_goes_by_the_way_that_fits_it(
    request_: SyncRequest, wheels: Path, site: Path, work: Path, tmp_path: Path
) -> None:
    wheel(wheels, "public")
    Installed("public").into(site)
    Installed("cloned", direct_url={"url": "https://h/x.git", "vcs_info": {}}).into(site)
    Installed("patched", "1.0+mine").into(site)
    editable(project(tmp_path, "mine"), site)
    (work / "helpers.py").touch()
    made = synchronise(request_, cache=tmp_path / "cache")
    assert kinds(made) == {
        "public": "index",
        "cloned": "repacked",
        "patched": "repacked",
        "mine": "editable",
        "shoal-loose-modules": "modules",
    }
    assert made.notes == ()
    assert {it.sha256 for it in made.manifest.wheels} == made.wheel_paths.keys()


def test_nothing_changed_means_the_same_id_and_nothing_asked(
    request_: SyncRequest, index: Index, wheels: Path, site: Path, tmp_path: Path
) -> None:
    wheel(wheels, "public")
    Installed("public").into(site)
    editable(project(tmp_path, "mine"), site)
    first = synchronise(request_, cache=tmp_path / "cache")
    asked = index.asked
    again = synchronise(request_, cache=tmp_path / "cache")
    assert again.manifest == first.manifest
    assert index.asked == asked
    elsewhere = synchronise(request_, cache=tmp_path / "another")
    assert elsewhere.manifest.id == first.manifest.id


@pytest.mark.parametrize("what", ["helpers.py", "mine/mine/__init__.py"])
@pytest.mark.usefixtures("index")
def test_an_edit_makes_another_environment(
    request_: SyncRequest, site: Path, work: Path, tmp_path: Path, what: str
) -> None:
    (work / "helpers.py").touch()
    editable(project(work, "mine"), site)
    first = synchronise(request_, cache=tmp_path / "cache")
    (work / what).write_text("VALUE = 'edited'\n")
    assert synchronise(request_, cache=tmp_path / "cache").manifest.id != first.manifest.id


@pytest.mark.usefixtures("index")
def test_a_project_and_the_module_beside_it_are_imported_on_the_vm_from_its_prefix(
    request_: SyncRequest, site: Path, work: Path, tmp_path: Path
) -> None:
    editable(project(work, "mine", source="VALUE = 42\n"), site)
    (work / "helpers.py").write_text("from mine import VALUE\n")
    made = synchronise(request_, cache=tmp_path / "cache")
    held = tmp_path / "held"
    held.mkdir()
    for sha256, path in made.wheel_paths.items():
        shutil.copy(path, held / sha256)
    vm = tmp_path / "vm"
    realised = asyncio.run(
        realise(
            made.manifest,
            wheels=held,
            prefix=vm,
            store=tmp_path / "store",
            report=lambda it: None,
            python_source=PythonSource(BASE),
        )
    )
    program = "import helpers, mine; print(mine.__file__, helpers.VALUE)"
    done = subprocess.run(
        [realised.python, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    file, value = done.stdout.split()
    assert vm in Path(file).parents
    assert value == "42"


@pytest.mark.usefixtures("index")
def test_a_project_in_its_own_directory_does_not_travel_twice(
    site: Path, work: Path, tmp_path: Path
) -> None:
    mine = project(work, "mine")
    editable(mine, site)
    (mine / "analysis.py").touch()
    made = synchronise(
        SyncRequest(working_directory=mine, path=(str(mine), str(site))), cache=tmp_path / "cache"
    )
    names = {it.distribution: it.filename for it in made.manifest.wheels}
    assert set(names) == {"mine", "shoal-loose-modules"}
    [loose] = [p for p in made.wheel_paths.values() if "loose" in p.name]
    assert wheel_files.provides(loose) == {"analysis", "backend"}


@pytest.mark.usefixtures("index")
def test_what_cannot_travel_is_told_and_strict_refuses_it(
    request_: SyncRequest, site: Path, tmp_path: Path
) -> None:
    (site.parents[2] / "gone").mkdir()
    editable(site.parents[2] / "gone", site)
    (site.parents[2] / "gone").rmdir()
    made = synchronise(request_, cache=tmp_path / "cache")
    assert [it.name for it in made.notes] == ["gone"]
    strict = msgspec.structs.replace(request_, strict=True)
    with pytest.raises(
        EnvironmentFailed,
        match=r"cannot be synced exactly:\n  gone: left out: its project .* is not there",
    ):
        synchronise(strict, cache=tmp_path / "cache")
    ignored = msgspec.structs.replace(strict, ignore=("gone",))
    assert synchronise(ignored, cache=tmp_path / "cache").notes == ()


@pytest.mark.usefixtures("index")
def test_compiled_parts_do_not_go_to_another_platform(
    request_: SyncRequest, site: Path, tmp_path: Path
) -> None:
    url = {"url": "https://h/x.git", "vcs_info": {}}
    Installed("fast", tag="cp311-cp311-linux_x86_64", direct_url=url).into(site)
    target = Target(here().python, "aarch64-apple-darwin")
    elsewhere = msgspec.structs.replace(request_, target=target)
    with pytest.raises(EnvironmentFailed, match=r"fast 1\.0 has parts that were compiled"):
        synchronise(elsewhere, cache=tmp_path / "cache")


@pytest.mark.usefixtures("index")
def test_a_version_that_another_platform_lacks_is_a_note(
    request_: SyncRequest, site: Path, wheels: Path, tmp_path: Path
) -> None:
    wheel(wheels, "fast", "1.0", "py3-none-manylinux_2_17_x86_64")
    wheel(wheels, "fast", "1.1", "py3-none-macosx_11_0_arm64")
    Installed("fast").into(site)
    target = Target(here().python, "aarch64-apple-darwin")
    elsewhere = msgspec.structs.replace(request_, target=target)
    made = synchronise(elsewhere, cache=tmp_path / "cache")
    words = "1.1 in place of 1.0, which is not for aarch64-apple-darwin"
    assert made.notes == (Note("fast", words),)


def test_notes_with_the_same_to_say_share_a_line() -> None:
    notes = (Note("one", "left out: why"), Note("two", "1.0 there"), Note("three", "left out: why"))
    assert note_lines(notes) == ("one, three: left out: why", "two: 1.0 there")


@pytest.mark.usefixtures("index")
def test_strict_asks_for_the_very_version_of_python(request_: SyncRequest, tmp_path: Path) -> None:
    strict = msgspec.structs.replace(request_, strict=True)
    made = [synchronise(it, cache=tmp_path / "cache").manifest for it in (request_, strict)]
    assert [it.exact_python for it in made] == [False, True]
    assert made[0].id != made[1].id


@pytest.mark.usefixtures("index")
def test_progress_names_its_phases_in_order(
    request_: SyncRequest, site: Path, tmp_path: Path
) -> None:
    editable(project(tmp_path, "mine"), site)
    told: list[SyncProgress] = []
    made = synchronise(request_, cache=tmp_path / "cache", progress=told.append)
    phases = list(dict.fromkeys(it.phase for it in told))
    assert phases == ["scanning", "building", "locking"] == list(made.seconds)
    assert "mine: 1 of 1 wheels are there" in [it.detail for it in told]
    told.clear()
    synchronise(request_, cache=tmp_path / "cache", progress=told.append)
    assert not [it.detail for it in told if "are there" in it.detail]  # nothing was built


def test_a_report_builds_and_asks_nothing(
    request_: SyncRequest, site: Path, work: Path, tmp_path: Path
) -> None:
    Installed("public").into(site)
    Installed("numpy", installer="conda").into(site)
    (site.parents[2] / "conda-meta").mkdir()
    editable(project(tmp_path, "mine"), site)
    (work / "helpers.py").touch()
    rows = {it.name: it.action for it in report(request_)}
    assert rows == {"public": "install", "numpy": "install", "mine": "build", "helpers": "copy"}


@pytest.mark.long
def test_this_very_session_is_synced_and_again_without_a_network(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = synchronise(SyncRequest(working_directory=work), cache=tmp_path / "cache")
    assert {"dask", "distributed"} <= kinds(made).keys()
    assert kinds(made).get("shoal", "editable") == "editable"
    monkeypatch.setenv("UV_OFFLINE", "1")
    again = synchronise(SyncRequest(working_directory=work), cache=tmp_path / "cache")
    assert again.manifest == made.manifest

"""Modules beside a notebook, which belong to no package."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from shoal.software import loose
from shoal.software.loose import Loose, loose_modules


def write(directory: Path, *names: str, size: int = 1) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#" * size)


def of(work: Path, *searched: Path, projects: tuple[Path, ...] = ()) -> tuple[Loose, ...]:
    return loose_modules(work, searched, projects)


def names(found: tuple[Loose, ...]) -> set[str]:
    return {module.name for it in found for module in it.modules}


def test_what_python_would_import_is_found_and_nothing_else(work: Path) -> None:
    write(work, "helpers.py", "pack/__init__.py", "pack/data.csv", "plain/one.py")
    write(work, "not-a-name.py", "notes.txt", "setup.py", ".hidden/__init__.py", "data/x.csv")
    assert names(of(work)) == {"helpers", "pack", "plain"}


def test_a_package_comes_with_its_data_and_without_what_tools_made(work: Path) -> None:
    write(work, "pack/__init__.py", "pack/data.csv", "pack/env/__init__.py")
    write(work, "pack/__pycache__/x.pyc", "pack/.cache/x", "pack/venv/pyvenv.cfg", "pack/venv/x.py")
    [[module]] = [it.modules for it in of(work)]
    assert {it.as_posix() for it in module.files} == {
        "pack/__init__.py",
        "pack/data.csv",
        "pack/env/__init__.py",
    }


def test_a_directory_without_init_gives_its_modules_only(work: Path) -> None:
    write(work, "plain/one.py", "plain/table.parquet")
    [[module]] = [it.modules for it in of(work)]
    assert [it.as_posix() for it in module.files] == ["plain/one.py"]


def test_other_projects_and_virtual_environments_stay(work: Path) -> None:
    write(work, "other/pyproject.toml", "other/other.py", "env/pyvenv.cfg", "env/tool.py")
    assert of(work) == ()


def test_what_is_too_large_is_left_out_by_name_and_the_rest_goes(work: Path) -> None:
    write(work, "pack/__init__.py", "pack/weights.bin", size=loose.MAX_BYTES)
    write(work, "helpers.py")
    [it] = of(work)
    assert (names((it,)), it.too_large) == ({"helpers"}, ("pack",))


def test_directories_that_the_user_put_on_the_path_count(work: Path, tmp_path: Path) -> None:
    write(tmp_path / "shared", "common.py")
    assert names(of(work, tmp_path / "shared")) == {"common"}


def test_directories_of_python_and_of_editable_projects_do_not(work: Path, tmp_path: Path) -> None:
    write(tmp_path / "project" / "src", "mine.py")
    searched = (tmp_path / "project" / "src", Path(sysconfig.get_path("stdlib")))
    assert of(work, *searched, projects=(tmp_path / "project",)) == ()


def test_scripts_beside_an_editable_project_count_in_its_own_directory(work: Path) -> None:
    write(work, "analysis.py", "pyproject.toml")
    assert names(of(work, projects=(work,))) == {"analysis"}

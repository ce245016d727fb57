"""What is found in an interpreter, and from where."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.software.scan import Distribution, scan
from tests.software.made import Installed


def found(site: Path, work: Path, *more: Path) -> dict[str, Distribution]:
    path = [str(it) for it in (*more, site)]
    return {it.name: it for it in scan(work, path, site.parents[2]).distributions}


def test_names_are_canonical_and_versions_are_as_installed(site: Path, work: Path) -> None:
    Installed("Some.Thing", "2.0+cu121").into(site)
    assert found(site, work)["some-thing"].version == "2.0+cu121"


def test_an_underscore_in_a_directorys_version_is_looked_up_in_the_metadata(
    site: Path, work: Path
) -> None:
    metadata = Installed("old", "1.0-1").into(site)
    metadata.rename(site / "old-1.0_1.dist-info")
    assert found(site, work)["old"].version == "1.0-1"


def test_the_first_directory_on_the_path_wins(site: Path, work: Path, tmp_path: Path) -> None:
    Installed("twice", "1.0").into(site)
    Installed("twice", "2.0").into(tmp_path / "first")
    assert found(site, work, tmp_path / "first")["twice"].version == "2.0"


def test_an_editable_project_is_known_by_its_directory(site: Path, work: Path) -> None:
    url = {"url": work.as_uri(), "dir_info": {"editable": True}}
    Installed("mine", direct_url=url).into(site)
    assert found(site, work)["mine"].project == work


@pytest.mark.parametrize("layout", ["", "src"])
def test_setup_py_develop_is_an_editable_project(site: Path, work: Path, layout: str) -> None:
    (work / "setup.py").touch()
    information = work / layout / "mine.egg-info"
    information.mkdir(parents=True)
    (information / "PKG-INFO").write_text("Name: mine\nVersion: 3.1\n")
    it = found(site, work, work / layout)["mine"]
    assert (it.version, it.project) == ("3.1", work)


def test_what_a_failed_pip_left_behind_is_not_a_distribution(site: Path, work: Path) -> None:
    (site / "~umpy-1.0.dist-info").mkdir()
    (site / "gone-1.0.dist-info").mkdir()
    assert found(site, work) == {}


def test_a_path_that_is_not_there_is_no_error(site: Path, work: Path) -> None:
    assert found(site, work, Path("/nowhere"), work / "python.zip") == {}


def test_conda_is_told_apart_from_pip_inside_its_prefix(site: Path, work: Path) -> None:
    meta = site.parents[2] / "conda-meta"
    meta.mkdir()
    (meta / "openssl-3.0.1-h1234_0.json").write_text("{}")
    Installed("numpy", installer="conda").into(site)
    Installed("dask", installer="pip").into(site)
    scanned = scan(work, [str(site)], site.parents[2])
    assert {it.name: it.installer for it in scanned.distributions} == {"numpy": "conda", "dask": ""}
    [openssl] = scanned.conda
    assert (openssl.name, openssl.version) == ("openssl", "3.0.1")


def test_a_broken_direct_url_is_taken_for_none(site: Path, work: Path) -> None:
    metadata = Installed("odd", direct_url={}).into(site)
    (metadata / "direct_url.json").write_text("no json")
    assert found(site, work)["odd"].direct_url is None

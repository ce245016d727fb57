"""An installed distribution becomes a wheel again, whatever it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.errors import EnvironmentFailed
from shoal.software.classify import Repacked
from shoal.software.repack import repack
from tests.software.made import Installed


def item(metadata: Path) -> Repacked:
    return Repacked("thing", "1.0", metadata, "git")


def test_its_files_come_along_and_its_origin_does_not(site: Path) -> None:
    url = {"url": "https://token@host/thing.git", "vcs_info": {"vcs": "git"}}
    wheel = repack(item(Installed("thing", direct_url=url, files=("data/x.txt",)).into(site)))
    assert {name for name in wheel.files if "dist-info" not in name} == {"thing.py", "data/x.txt"}
    assert {Path(name).name for name in wheel.files} & {"direct_url.json", "INSTALLER"} == set()


def test_the_tags_are_those_that_it_was_installed_with(site: Path) -> None:
    wheel = repack(item(Installed("thing", tag="cp311-cp311-linux_x86_64").into(site)))
    assert wheel.filename == "thing-1.0-cp311-cp311-linux_x86_64.whl"


def test_scripts_and_data_outside_come_along(site: Path) -> None:
    metadata = Installed("thing", files=("../../../bin/tool", "../../../share/doc.txt")).into(site)
    wheel = repack(item(metadata))
    assert wheel.executable == {"thing-1.0.data/scripts/tool"}
    script = wheel.files["thing-1.0.data/scripts/tool"]
    assert isinstance(script, bytes)
    assert script.startswith(b"#!python\n")  # the installer writes its own interpreter there
    assert "thing-1.0.data/data/share/doc.txt" in wheel.files


def test_scripts_of_entry_points_are_left_to_the_installer(site: Path) -> None:
    metadata = Installed("thing", files=("../../../bin/Tool",)).into(site)
    (metadata / "entry_points.txt").write_text("[console_scripts]\nTool = thing:main\n")
    assert repack(item(metadata)).executable == frozenset()


def test_a_missing_file_is_an_error_that_names_the_package(site: Path) -> None:
    metadata = Installed("thing").into(site)
    (site / "thing.py").unlink()
    with pytest.raises(EnvironmentFailed, match=r"thing 1\.0 was installed from git.*thing\.py"):
        repack(item(metadata))

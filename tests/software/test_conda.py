"""Conda packages: what is asked for, what is locked, what is made of it, how it fails."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from shoal.errors import EnvironmentFailed, InvalidRequest, NotPossible
from shoal.software import builders, conda
from shoal.software.classify import Conda, Filters, classify
from shoal.software.realise import RealiseProgress, complete, realise
from shoal.software.scan import scan
from shoal.software.sync import Synchronised, SyncRequest, synchronise
from shoal.software.targets import Target, here
from shoal.wire.environments import Manifest
from tests.software.conda_channel import INDEX, MINOR, Made, cpython, module
from tests.software.made import Installed

LINUX = Target(here().python, "x86_64-unknown-linux-gnu")


def meta(prefix: Path, name: str, version: str, *depends: str, **more: object) -> Path:
    """A file of conda-meta."""
    file = prefix / "conda-meta" / f"{name}-{version}-0.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    url = f"https://conda.anaconda.org/conda-forge/linux-64/{name}-{version}-0.conda"
    told = {"name": name, "version": version, "depends": depends, "url": url, **more}
    file.write_text(json.dumps(told))
    return file


@pytest.fixture
def prefix(site: Path) -> Path:
    """Python, a library, and two packages, of which one needs the library."""
    found = site.parents[2]
    meta(found, "python", here().python)
    meta(found, "libfast", "3.1")
    meta(found, "fast", "1.0", "python >=3.9", "libfast >=3", requested_specs=["fast"])
    meta(found, "plain", "2.0", "python", requested_spec="plain")
    for name, version in (("fast", "1.0"), ("plain", "2.0")):
        Installed(name, version, installer="conda").into(site)
    Installed("beside").into(site)
    return found


def names(prefix: Path, site: Path, work: Path, filters: Filters | None = None) -> set[str]:
    items = classify(scan(work, [str(site)], prefix), filters)
    assert {it.name for it in items if not isinstance(it, Conda)} <= {"beside"}
    return {it.name for it in items if isinstance(it, Conda)}


def test_all_of_a_conda_prefix_comes_from_conda_but_what_pip_installed(
    prefix: Path, site: Path, work: Path
) -> None:
    assert names(prefix, site, work) == {"python", "libfast", "fast", "plain"}


def test_ignored_ones_stay_and_wanted_ones_bring_what_they_need(
    prefix: Path, site: Path, work: Path
) -> None:
    ignored = names(prefix, site, work, Filters(ignore=("plain",)))
    assert ignored == {"python", "libfast", "fast"}
    assert names(prefix, site, work, Filters(only=("fast",))) == {"python", "libfast", "fast"}


def test_another_platform_is_asked_for_what_a_person_asked_for(prefix: Path) -> None:
    records = conda.read(sorted((prefix / "conda-meta").iterdir()))
    specs = conda.specs_of(records, {"python", "dask"})
    assert specs == ["fast ==1.0", "plain ==2.0", f"python =={here().python}"]
    assert conda.channels_of(records) == ["https://conda.anaconda.org/conda-forge"]


def test_a_platform_without_conda_packages_is_refused() -> None:
    with pytest.raises(NotPossible, match="no conda packages for riscv64"):
        conda.subdir(Target("3.11.7", "riscv64-unknown-linux-gnu"))


def test_a_failure_names_the_package_and_shows_the_last_words() -> None:
    words = (
        "Traceback\n  File…\nexceptions.InstallerError: failed to fetch fast-cli-1.0-0.conda: 404"
    )
    error = conda.failed(words, ("fast", "fast-cli", "plain"))
    assert error.message == (
        "The conda package fast-cli could not be installed:\n"
        "failed to fetch fast-cli-1.0-0.conda: 404"
    )


# -- for real ----------------------------------------------------------------------------------


class Ground(msgspec.Struct, frozen=True):
    channel: Path
    tools: Path

    @property
    def url(self) -> str:
        return self.channel.as_uri()

    def index(self) -> None:
        python = builders.environment_with((conda.RATTLER,), self.tools)
        subprocess.run([python, "-I", "-c", INDEX, self.channel], check=True)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    root = tmp_path_factory.mktemp("conda")
    made = Ground(root / "channel", root / "tools")
    for it in (
        cpython(),
        module("tiny", "1.2"),
        module("small", "0.1", "tiny >=1.0", "libsmall"),
        Made("libsmall", "3.0", {"share/small.txt": b"small"}, noarch=False),
    ):
        it.into(made.channel)
    made.index()
    return made


@pytest.fixture
def made(ground: Ground, work: Path) -> Synchronised:
    """Of an environment.yml that asks conda for `small`, and pip for Dask."""
    file = work / "environment.yml"
    file.write_text(
        f"channels: ['{ground.url}']\n"
        f"dependencies: [small, python={MINOR}, {{pip: [dask, distributed]}}]\n"
    )
    return synchronise(SyncRequest(working_directory=work, software=file), cache=ground.tools)


def realised(manifest: Manifest, root: Path, told: list[RealiseProgress]) -> Path:
    prefix = root / "vm" / manifest.id
    prefix.parent.mkdir(exist_ok=True)
    made = realise(
        manifest, wheels=root / "wheels", prefix=prefix, store=root / "store", report=told.append
    )
    return asyncio.run(made).python


@pytest.mark.long
@pytest.mark.timeout(400)
def test_an_environment_yml_becomes_a_prefix_with_wheels_in_it(
    made: Synchronised, tmp_path: Path
) -> None:
    sources = {it.name: it.source for it in made.manifest.packages}
    assert [sources[it] for it in ("python", "small", "tiny", "libsmall")] == ["conda"] * 4
    assert sources["dask"] == sources["tornado"] == "index"
    assert made.manifest.conda.count("sha256: ") == 4
    told: list[RealiseProgress] = []
    python = realised(made.manifest, tmp_path, told)
    program = (
        "import sys, small, tiny, distributed; print(sys.prefix, small.__file__, tiny.VERSION)"
    )
    done = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=True)
    prefix, file, version = done.stdout.split()
    assert Path(prefix) == python.parents[1]
    assert (prefix in file, version) == (True, "1.2")
    assert (python.parents[1] / "share" / "small.txt").read_text() == "small"
    assert any(it.detail == "4 of 4 packages" for it in told)
    assert complete(made.manifest, python.parents[1])


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_prefix_that_conda_made_is_copied_exactly(
    ground: Ground, made: Synchronised, tmp_path: Path, work: Path
) -> None:
    """As the scan of a session in it finds it; nothing is solved."""
    python = realised(made.manifest, tmp_path, [])
    metadata = sorted((python.parents[1] / "conda-meta").glob("*.json"))
    copied = conda.as_installed(metadata, here(), ground.tools)
    assert {it.name for it in copied.packages} == {"python", "small", "tiny", "libsmall"}
    again = tmp_path / "again"
    conda.install(copied.text, here(), again, tmp_path / "store", lambda line: None)
    found = {it.name for it in (again / "conda-meta").glob("*.json")}
    assert found == {it.name for it in metadata}


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_package_that_is_not_what_was_locked_is_refused_by_name(
    made: Synchronised, tmp_path: Path
) -> None:
    text = made.manifest.conda
    parts = [it for it in text.split("- conda: ") if "sha256" in it]
    [wrong] = [it for it in parts if "libsmall" in it.splitlines()[0]]
    right = wrong.partition("sha256: ")[2].split()[0]
    manifest = msgspec.structs.replace(made.manifest, conda=text.replace(right, "0" * 64))
    with pytest.raises(EnvironmentFailed, match="The conda package libsmall could not be"):
        realised(manifest, tmp_path, [])
    assert not complete(manifest, tmp_path / "vm" / manifest.id)
    gone = msgspec.structs.replace(made.manifest, conda=text.replace("tiny-1.2", "tiny-1.3"))
    with pytest.raises(EnvironmentFailed, match="The conda package tiny could not be"):
        realised(gone, tmp_path, [])


@pytest.mark.long
@pytest.mark.timeout(400)
def test_what_no_channel_has_is_told_in_the_solvers_words(ground: Ground, work: Path) -> None:
    file = work / "environment.yml"
    file.write_text(f"channels: ['{ground.url}']\ndependencies: [nothere, dask]\n")
    request = SyncRequest(working_directory=work, software=file)
    with pytest.raises(EnvironmentFailed, match="No candidates were found for nothere"):
        synchronise(request, cache=ground.tools)
    file.write_text(f"channels: ['{ground.url}']\ndependencies: [small]\n")
    with pytest.raises(InvalidRequest, match="has no dask and no distributed"):
        synchronise(request, cache=ground.tools)

"""The build log: all that a person needs of what an installer prints, and no secret."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shoal.errors import EnvironmentFailed
from shoal.software.build_log import BEGIN, END, WIDTH, BuildLog, redacted
from shoal.software.realise import realise
from shoal.wire.environments import Manifest
from tests.software.index import Index
from tests.software.made import manifest, wheel
from tests.software.test_failures import locked


def told(*lines: str) -> list[str]:
    said: list[str] = []
    log = BuildLog(said.append)
    for it in lines:
        log.line(it)
    log.end()
    return said


def test_what_is_printed_of_each_package_is_one_line() -> None:
    assert told(
        "Installed 3 packages in 12ms", " + numpy==2.0", " + dask==2026.1", " - six==1"
    ) == [
        "Installed 3 packages in 12ms",
        "+ numpy==2.0, dask==2026.1",
        "- six==1",
    ]
    assert told("fetching numpy", "fetching scipy", "linked 1 2", "linked 2 2") == [
        "fetching numpy, scipy"
    ]


def test_many_packages_are_as_many_lines_as_they_fill() -> None:
    said = told(*(f" + package-{n}==1.0" for n in range(1_000)))
    assert len(said) > 1
    assert max(map(len, said)) <= WIDTH
    assert sum(it.count("package-") for it in said) == 1_000


def test_an_installer_without_end_is_told_from_its_beginning_and_its_end() -> None:
    said = told(*(f"line {n}" for n in range(10_000)))
    assert said[:BEGIN] == [f"line {n}" for n in range(BEGIN)]
    assert said[BEGIN] == f"… {10_000 - BEGIN - END:,} lines are left out here …"
    assert said[BEGIN + 1 :] == [f"line {n}" for n in range(10_000 - END, 10_000)]


def test_where_nothing_is_left_out_nothing_says_so() -> None:
    lines = [f"line {n}" for n in range(BEGIN + END)]
    assert told(*lines) == lines


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("get https://ada:s3cret@host/simple/x/", "get https://host/simple/x/"),
        ("`https://s3cret@host:8080/simple`", "`https://host:8080/simple`"),
        ("(https://b.host/x.whl?sig=s3cret&e=1)", "(https://b.host/x.whl?…)"),
        ("git+https://oauth2:s3cret@host/a.git@main", "git+https://host/a.git@main"),
        ("https://conda.host/t/tk-s3cret/channel/noarch", "https://conda.host/t/…/channel/noarch"),
        ("http://[never closed", "http://[never closed"),
        ("one @ file:///wheels/one-1.0.whl", "one @ file:///wheels/one-1.0.whl"),
    ],
)
def test_urls_tell_no_secret(given: str, kept: str) -> None:
    assert redacted(given) == kept
    assert told(given) == [kept]


def made(wanted: Manifest, root: Path, say: list[str]) -> None:
    asyncio.run(
        realise(
            wanted,
            wheels=root / "wheels",
            prefix=root / "vm",
            store=root / "store",
            report=lambda it: None,
            say=say.append,
        )
    )


def test_the_log_of_a_build_has_what_was_asked_and_what_the_installer_said(tmp_path: Path) -> None:
    wanted = manifest(wheel(tmp_path / "built", "one"), store=tmp_path / "wheels")
    said: list[str] = []
    made(wanted, tmp_path, said)
    [asked] = [it for it in said if it.startswith("$ uv pip sync pylock.toml")]
    after = said[said.index(asked) :]
    assert any(it.startswith("Installed 1 package") for it in after)
    assert any(it.startswith("+ one==1.0") for it in after)


def test_a_build_that_failed_ends_with_the_installers_words_and_without_its_users(
    index: Index, tmp_path: Path
) -> None:
    (tmp_path / "wheels").mkdir()
    gone = locked(index, Path("one-1.0-py3-none-any.whl"), "0" * 64)
    lock = gone.lock.replace("http://", "http://ada:s3cret@")
    wanted = Manifest(gone.id, lock, gone.python, gone.platform)
    said: list[str] = []
    with pytest.raises(EnvironmentFailed) as failed:
        made(wanted, tmp_path, said)
    assert "404" in "\n".join(said[-5:])
    assert "s3cret" not in "\n".join((*said, failed.value.message))

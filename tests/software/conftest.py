"""An index and a cache of the tests' own: nothing is asked of the world, nothing is left behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.software.index import Index, serving


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    if request.node.get_closest_marker("long") is None:
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        monkeypatch.setenv("UV_OFFLINE", "1")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """What the index has."""
    made = tmp_path / "index"
    made.mkdir()
    return made


@pytest.fixture
def index(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The only index there is."""
    with serving(wheels) as index:
        monkeypatch.delenv("UV_OFFLINE", raising=False)
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        yield index


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site-packages directory of a prefix."""
    minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    made = tmp_path / "prefix" / "lib" / minor / "site-packages"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A working directory."""
    made = tmp_path / "work"
    made.mkdir()
    return made

"""Shoal's own environments: found at once, or made once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shoal.software import runtime


def test_packagers_name_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_RUNTIME_SERVER_PYTHON", "/opt/shoal/bin/python")
    assert runtime.ensure("server,postgres", root=tmp_path) == Path("/opt/shoal/bin/python")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_an_agents_environment_is_made_once_and_runs_the_agent(tmp_path: Path) -> None:
    python = runtime.ensure("agent", root=tmp_path)
    made = python.stat().st_mtime_ns
    program = "import shoal.agent.tender, shoal; print(shoal.__file__)"
    done = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert tmp_path in Path(done.stdout.strip()).parents
    assert runtime.ensure("agent", root=tmp_path) == python
    assert python.stat().st_mtime_ns == made

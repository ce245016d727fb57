"""A changed editable project: from the saved file to its result on a new cluster."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import uv

from benchmarks.table import Row

HERE = Path(__file__).parent
RUNS = 5


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        return _measured(Path(directory))


def _measured(root: Path) -> list[Row]:
    empty = root / "empty"
    empty.mkdir()
    project = root / "seaweed"
    (project / "seaweed").mkdir(parents=True)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "seaweed"\nversion = "1"\n'
    )
    module = project / "seaweed" / "__init__.py"
    module.write_text("VALUE = 0\n")
    uv_bin, python = uv.find_uv_bin(), root / "venv" / "bin" / "python"
    subprocess.run(
        [uv_bin, "venv", "--quiet", "--python", sys.executable, root / "venv"], check=True
    )
    install = [uv_bin, "pip", "install", "--quiet", "--python", python, HERE.parent, "-e", project]
    subprocess.run(install, check=True)
    environment = dict(os.environ, SHOAL_STATE_DIR=str(root / "state"))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        done = subprocess.run(
            [python, HERE / "changed_project.py", module, str(RUNS)],
            env=environment, cwd=empty, check=True, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip
    finally:
        subprocess.run(
            [python.parent / "shoal", "server", "stop"], env=environment, check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    seconds = statistics.median(json.loads(done.stdout.splitlines()[-1]))
    return [Row("a changed editable project, to its result on a new cluster", seconds, "s", "≤ 3")]

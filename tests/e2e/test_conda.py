"""A session in a conda environment: its workers have the same, libraries and all."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv

from shoal.software import builders, conda
from shoal.software.targets import here
from tests.e2e.session import PROJECT, Session
from tests.software.conda_channel import INDEX, Made, cpython, module

pytestmark = [pytest.mark.long, pytest.mark.timeout(500)]


@pytest.fixture
def in_conda(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Python, a module and a data file from conda; Shoal beside them, by pip."""
    root = tmp_path_factory.mktemp("condauser")
    channel, tools, prefix = root / "channel", root / "tools", root / "prefix"
    library = Made("libsmall", "3.0", {"share/small.txt": b"small"}, noarch=False)
    for it in (cpython(), module("small", "0.1", "libsmall"), library):
        it.into(channel)
    tool = builders.environment_with((conda.RATTLER,), tools)
    subprocess.run([tool, "-I", "-c", INDEX, channel], check=True)
    locked = conda.solved(["small", "python"], [channel.as_uri()], here(), tools)
    conda.install(locked.text, here(), prefix, root, lambda line: None)
    python = prefix / "bin" / "python"
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", python]
    subprocess.run([*install, "-e", PROJECT], check=True)
    session = Session(root, python)
    yield session
    session.shoal("server", "stop", check=False)
    for it in session.processes():
        it.kill()


def test_workers_have_the_conda_packages_in_a_prefix_of_their_own(in_conda: Session) -> None:
    scanned = in_conda.shoal("env", "scan").stdout
    assert ["libsmall", "3.0", "install", "conda"] in [it.split() for it in scanned.splitlines()]
    (in_conda.work / "loose.py").write_text("import small\nVALUE = small.VERSION\n")
    lines = in_conda.run(
        """
        import sys
        import shoal

        def look():
            import os, pathlib, loose, small
            data = pathlib.Path(sys.prefix, "share", "small.txt").read_text()
            return sys.prefix, small.__file__, loose.VALUE, data, os.environ["CONDA_PREFIX"]

        if __name__ == "__main__":
            with shoal.Cluster("conda", n_workers=2, worker_cpu=1) as cluster:
                with cluster.get_client() as client:
                    client.wait_for_workers(2)
                    for told in client.run(look).values():
                        print("FOUND", *told)
        """,
        300,
    )
    told = [line.split()[1:] for line in lines if line.startswith("FOUND")]
    assert len({prefix for prefix, *_ in told}) == 2
    for prefix, file, version, data, active in told:
        assert Path(prefix) not in in_conda.python.parents
        assert Path(prefix) in Path(file).parents
        assert (version, data, active) == ("0.1", "small", prefix)
    in_conda.nothing_left()

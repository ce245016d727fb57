"""`Cluster.sync()` while a cluster runs; and what no VM can be is told before VM after VM fails."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
import uv

from tests.e2e.session import Session
from tests.software.index import serving

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def test_sync_brings_new_code_and_keeps_what_was_computed(session: Session) -> None:
    (session.work / "reef.py").write_text("def species():\n    return 100\n")
    lines = session.run(
        """
        import pathlib, shoal

        def look():
            import reef
            return reef.species()

        if __name__ == "__main__":
            with shoal.Cluster("synced", n_workers=2, worker_cpu=1) as cluster:
                with cluster.get_client() as client:
                    client.wait_for_workers(2)
                    print("BEFORE", sorted(client.run(look).values()), flush=True)
                    kept = client.scatter(list(range(20)))
                    pathlib.Path("reef.py").write_text("def species():\\n    return 200\\n")
                    cluster.sync()
                    print("AFTER", sorted(client.run(look).values()), flush=True)
                    print("KEPT", client.gather(kept) == list(range(20)), flush=True)
        """,
        timeout_s=200,
    )
    assert "BEFORE [100, 100]" in lines
    assert "AFTER [200, 200]" in lines
    assert "KEPT True" in lines
    events = session.shoal("cluster", "events", "synced").stdout
    assert events.count("instance.environment") == 2


@pytest.mark.timeout(400)
def test_an_environment_that_no_vm_can_have_is_told_and_the_old_one_goes_on(
    session: Session, tmp_path: Path
) -> None:
    (session.work / "pylock.reef.toml").write_text(locked(session, "dask", "distributed"))
    sdist = unbuildable(tmp_path)
    with serving(tmp_path) as index:
        gone = "brittle-1.0-py3-none-any.whl"
        entry = packages_entry("wheels", [(gone, index.file_url(gone), "0" * 64)])
        (session.work / "gone.txt").write_text(entry)
        hashed = hashlib.sha256(sdist.read_bytes()).hexdigest()
        entry = packages_entry("sdist", [(sdist.name, index.file_url(sdist.name), hashed)])
        (session.work / "unbuildable.txt").write_text(entry)
        lines = session.run(
            """
            import pathlib, shoal

            LOCK = pathlib.Path("pylock.reef.toml")

            def look():
                import importlib.util, os
                return os.getpid(), importlib.util.find_spec("brittle") is not None

            def sync(cluster):
                try:
                    cluster.sync()
                except shoal.errors.EnvironmentFailed as error:
                    return " ".join(str(error).split())
                return "nothing"

            if __name__ == "__main__":
                good = LOCK.read_text()
                with shoal.Cluster(
                    "unmoved", software=str(LOCK), n_workers=2, worker_cpu=1
                ) as cluster, cluster.get_client() as client:
                    client.wait_for_workers(2)
                    before, data = client.run(look), list(range(20))
                    kept = client.scatter(data)
                    for what in ("gone", "unbuildable"):
                        LOCK.write_text(good + pathlib.Path(what + ".txt").read_text())
                        print(what.upper(), sync(cluster), flush=True)
                        same = client.run(look) == before and client.gather(kept) == data
                        print("AS BEFORE", what, same, flush=True)
                    LOCK.write_text(good)
                    print("MENDED", sync(cluster), client.run(look) == before, flush=True)
            """,
            timeout_s=330,
        )
    [gone_told] = [it for it in lines if it.startswith("GONE")]
    assert " of 2 workers: brittle could not be installed" in gone_told
    assert "404 Not Found" in gone_told
    [build_told] = [it for it in lines if it.startswith("UNBUILDABLE")]
    assert "brittle could not be installed" in build_told
    assert "no such header: sea.h" in build_told
    assert "They go on with the one from before" in build_told
    for what in ("gone", "unbuildable"):
        assert f"AS BEFORE {what} True" in lines
    assert "MENDED nothing True" in lines


def locked(session: Session, *names: str) -> str:
    """The session's versions, as a pylock.toml."""
    pins = "\n".join(f"{it}=={importlib.metadata.version(it)}" for it in names)
    how = ["--format", "pylock.toml", "--quiet", "--generate-hashes", "--python", session.python]
    done = subprocess.run(
        [uv.find_uv_bin(), "pip", "compile", "-", *how],
        input=pins,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def packages_entry(kind: str, files: list[tuple[str, str, str]]) -> str:
    """Of the package "brittle": its wheels, or its sdist; name, URL and SHA-256 of each."""
    tables = [
        f'{{ name = "{n}", url = "{u}", hashes = {{ sha256 = "{h}" }} }}' for n, u, h in files
    ]
    value = f"[{', '.join(tables)}]" if kind == "wheels" else tables[0]
    return f'\n[[packages]]\nname = "brittle"\nversion = "1.0"\n{kind} = {value}\n'


def unbuildable(directory: Path) -> Path:
    """An sdist that says why no wheel can be made of it."""
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: brittle\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
        'backend-path = ["."]\n[project]\nname = "brittle"\nversion = "1.0"\n',
        "backend.py": "def build_wheel(*given):\n    raise SystemExit('no such header: sea.h')",
    }
    made = directory / "brittle-1.0.tar.gz"
    with tarfile.open(made, "w:gz") as archive:
        for name, text in files.items():
            it = tarfile.TarInfo(f"brittle-1.0/{name}")
            it.size = len(text)
            archive.addfile(it, io.BytesIO(text.encode()))
    return made


def test_a_worker_that_cannot_be_ends_the_creation_with_one_try(session: Session) -> None:
    script = session.start(
        """
        import shoal
        if __name__ == "__main__":
            try:
                shoal.Cluster("wrong", n_workers=2, worker_cpu=1, worker_class="no.Such")
            except shoal.errors.ClusterFailed as error:
                print("FAILED", " ".join(str(error).split()))
        """
    )
    told = script.says("FAILED")
    script.finish()
    assert "of 2 workers: The Dask worker cannot be made as asked: No module named 'no'" in told
    session.nothing_left()
    shown = json.loads(session.shoal("cluster", "show", "wrong", "--json").stdout)
    assert len(shown["instances"]) == 3  # a scheduler and two workers, none of them replaced

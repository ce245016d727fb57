"""A login of a session reaches its tasks by way of memory alone: the state directory, the database,
every log and every process of the VMs are searched for its values."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.e2e.session import PROJECT, Script, Session, make_environment

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

LOGIN = {
    "AWS_ACCESS_KEY_ID": "ASIAOFANNSSESSION",
    "AWS_SECRET_ACCESS_KEY": "the-secret-of-ann-5f3a",
    "AWS_SESSION_TOKEN": "the-token-of-ann-9c1e",
    "AWS_DEFAULT_REGION": "eu-west-3",
    "AWS_EC2_METADATA_DISABLED": "true",
}
SECRETS = (LOGIN["AWS_SECRET_ACCESS_KEY"].encode(), LOGIN["AWS_SESSION_TOKEN"].encode())

SCRIPT = """
    import time
    import shoal

    def who():
        import boto3
        session = boto3.Session()
        found = session.get_credentials()
        if found is None:
            return "nobody"
        arn = session.client("sts").get_caller_identity()["Arn"]
        return f"{{found.access_key}} in {{session.region_name}}: {{arn}}"

    if __name__ == "__main__":
        environ = {{"AWS_ENDPOINT_URL_STS": {sts!r}, "AWS_EC2_METADATA_DISABLED": "true",
                    "DASK_LOGGING__DISTRIBUTED": "debug"}}
        with shoal.Cluster({name!r}, n_workers=1, worker_cpu=1, environ=environ, **{options}) as it:
            with it.get_client() as client:
                print("FIRST", client.submit(who).result())
                it.scale(2)
                client.wait_for_workers(2)
                for found in client.run(who).values():
                    print("EACH", found)
                print(it.details())
                print("UP", flush=True)
                time.sleep(300)
    """


@pytest.fixture(scope="module")
def sts() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Its server was started before, by a session without that login."""
    root = tmp_path_factory.mktemp("ann")
    python = make_environment(root / "venv", ["-e", str(PROJECT), "boto3"])
    session = Session(root, python)
    session.environment["HOME"] = str(root)
    start = [python.parent / "shoal", "server", "start"]  # its environment is made first
    subprocess.run(start, env=session.environment, check=True, timeout=300, capture_output=True)
    yield session
    session.shoal("server", "stop", check=False)
    for it in session.processes():
        it.kill()


@contextlib.contextmanager
def started(session: Session, sts: str, name: str, **options: object) -> Iterator[Script]:
    """A session that is logged in, whose cluster has two workers; it ends the cluster."""
    before = dict(session.environment)
    session.environment |= {**LOGIN, "AWS_ENDPOINT_URL_STS": sts}
    script = session.start(SCRIPT.format(sts=sts, name=name, options=options))
    session.environment = before
    try:
        script.says("UP", 400)
        yield script
        script.interrupt()
        script.over()
    finally:
        script.kill()
    session.nothing_left(60)


def files_with(root: Path, *values: bytes) -> list[Path]:
    """Whatever is below the state directory: database, logs, VMs' directories, tombstones."""
    found = []
    for directory, below, names in os.walk(root):
        below[:] = [it for it in below if it != "site-packages"]
        for name in names:
            path = Path(directory, name)
            with contextlib.suppress(FileNotFoundError):  # clones and logs come and go
                if path.is_file() and any(it in path.read_bytes() for it in values):
                    found.append(path)
    return found


def found_in_processes(session: Session) -> list[str]:
    """What other processes can see of those on the VMs: arguments and environment."""
    return [
        str(it.cmdline())
        for it in session.processes()
        if any(
            secret in Path(f"/proc/{it.pid}/{file}").read_bytes()
            for secret in SECRETS
            for file in ("environ", "cmdline")
        )
    ]


def test_a_login_reaches_each_worker_and_is_written_nowhere(session: Session, sts: str) -> None:
    with started(session, sts, "forwarded") as script:
        told = [it for it in script.lines if it.startswith(("FIRST", "EACH"))]
        assert len(told) == 3
        assert all("ASIAOFANNSSESSION in eu-west-3: arn:aws:" in it for it in told), told
        [line] = [it for it in script.lines if it.startswith("Credentials:")]
        assert line.startswith("Credentials: aws: arn:aws:")
        assert len(session.processes()) >= 6  # three agents, three of Dask
        assert files_with(session.state, b"distributed.scheduler")  # it can find
        assert found_in_processes(session) == []
        assert files_with(session.state, *SECRETS) == []
    logs = session.shoal("cluster", "logs", "forwarded").stdout
    events = session.shoal("cluster", "events", "forwarded", "--json").stdout
    assert "'op': 'shoal_credentials'" in logs  # Dask did log the messages, without values
    assert not any(it.decode() in logs + events for it in SECRETS)
    assert files_with(session.state, *SECRETS) == []
    assert not any(it.decode() in "\n".join(script.lines) for it in SECRETS)


def test_nothing_is_forwarded_when_none_is_asked_for(session: Session, sts: str) -> None:
    with started(session, sts, "kept-here", credentials=None) as script:
        told = [it for it in script.lines if it.startswith(("FIRST", "EACH"))]
        assert [it.partition(" ")[2] for it in told] == ["nobody"] * 3
        assert not any(it.startswith("Credentials:") for it in script.lines)

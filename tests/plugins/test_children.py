"""The Dask processes by themselves, with the test in the agent's place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from shoal import plugins
from shoal.trust import authority
from shoal.trust.dask_tls import from_files
from shoal.trust.identities import write
from shoal.trust.installation_key import InstallationKey
from shoal.wire.ids import ClusterId

START = Path(plugins.__file__).with_name("start.py")


@contextmanager
def child(program: str, directory: Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-P", START, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=directory,
        env={**os.environ, "DASK_TEMPORARY_DIRECTORY": str(directory), **environ},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[str], **message: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def heard(stream: IO[str] | None) -> dict[str, Any]:
    assert stream is not None
    return dict(json.loads(stream.readline()))


def security(directory: Path) -> dict[str, Any]:
    key, cluster = InstallationKey(bytes(range(32))), ClusterId("c-abcdefghij")
    head = authority.head_identity(key, cluster, datetime.now(UTC))
    return dict(from_files(write(head, directory / "identity")))


def scheduler(directory: Path, **options: Any) -> dict[str, Any]:
    return {
        "op": "scheduler",
        "host": "127.0.0.1",
        "port": 0,
        "dashboard_port": 0,
        "security": security(directory),
        "options": options,
        "minimum": 0,
    }


@pytest.mark.parametrize("program", ["scheduler_process", "worker_process"])
def test_a_child_ends_when_its_agent_is_gone(program: str, tmp_path: Path) -> None:
    with child(program, tmp_path) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 71


def test_a_child_that_is_told_to_stop_before_it_began_stops(tmp_path: Path) -> None:
    with child("worker_process", tmp_path) as process:
        tell(process, op="stop")
        assert process.wait(20) == 0


def test_a_scheduler_serves_reports_and_stops(tmp_path: Path) -> None:
    with child("scheduler_process", tmp_path) as process:
        tell(process, **scheduler(tmp_path))
        told = heard(process.stdout)
        assert told["op"] == "serving"
        assert told["address"].startswith("tls://127.0.0.1:")
        assert (told["clients"], told["workers"], told["tasks"]) == (0, 0, 0)
        [connection] = [
            it.laddr
            for it in psutil.Process(process.pid).net_connections()
            if f":{it.laddr.port}" in told["dashboard_address"]
        ]
        assert connection.ip == "127.0.0.1"  # not 0.0.0.0
        tell(process, op="retire", names=["nobody"], minimum=1)
        tell(process, op="stop")
        assert process.wait(20) == 0


def test_the_scheduler_keeps_no_idle_rule_of_its_own(tmp_path: Path) -> None:
    """The agent does; two keepers would end a cluster for different reasons."""
    (tmp_path / "look.py").write_text(
        "import dask\n"
        "def dask_setup(scheduler):\n"
        "    print('idle timeout', scheduler.idle_timeout, flush=True)\n"
    )
    with child("scheduler_process", tmp_path) as process:
        options = {"preload": [str(tmp_path / "look.py")]}
        tell(process, **scheduler(tmp_path, **options))
        assert heard(process.stdout)["op"] == "serving"
        process.kill()
        assert process.stderr is not None
        assert "idle timeout None" in process.stderr.read()  # printed, so it went to stderr


def test_options_that_cannot_be_are_told_in_words(tmp_path: Path) -> None:
    with child("scheduler_process", tmp_path) as process:
        tell(process, **scheduler(tmp_path, port="not a port"))
        told = heard(process.stdout)
        assert told["op"] == "failed"
        assert "cannot be made as asked" in told["text"]
        assert process.wait(20) == 2


def test_another_shoal_in_the_users_environment_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / "shoal").mkdir()
    (tmp_path / "shoal" / "__init__.py").write_text("raise RuntimeError('the wrong shoal')\n")
    (tmp_path / "pipe.py").write_text("raise RuntimeError('the wrong pipe')\n")
    with child("scheduler_process", tmp_path, PYTHONPATH=str(tmp_path)) as process:
        tell(process, **scheduler(tmp_path))
        assert heard(process.stdout)["op"] == "serving"


def test_plugins_import_nothing_but_dask_and_what_it_brings(tmp_path: Path) -> None:
    forbid = "import sys\nfor name in ('shoal', 'msgspec', 'httpx2'): sys.modules[name] = None\n"
    (tmp_path / "sitecustomize.py").write_text(forbid)
    with child("scheduler_process", tmp_path, PYTHONPATH=str(tmp_path)) as process:
        tell(process, **scheduler(tmp_path))
        assert heard(process.stdout)["op"] == "serving"

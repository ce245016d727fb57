"""A user's session, for real: an environment of their own, scripts in it, and what is left after.

Everything runs below one directory with a state directory of its own. Waiting is for conditions,
each with a limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import uv

from shoal.clouds.local_groups import ControlGroup

PROJECT = Path(__file__).parents[2]


class Session:
    def __init__(self, root: Path, python: Path) -> None:
        self.root = root
        self.python = python
        self.state = root / "state"
        self.work = root / "work"
        self.work.mkdir(exist_ok=True)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SHOAL_", "DASK_"))},
            "SHOAL_STATE_DIR": str(self.state),
            "SHOAL_CONFIG_DIR": str(root / "config"),
        }
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def start(self, script: str) -> Script:
        """A script of the user's, running; its lines are told as they come."""
        file = self.work / f"script_{time.monotonic_ns()}.py"
        file.write_text(textwrap.dedent(script))
        return Script(file, self)

    def run(self, script: str, timeout_s: float = 240.0) -> list[str]:
        """A script of the user's, to its end; what it printed."""
        return self.start(script).finish(timeout_s)

    def shoal(
        self, *arguments: str, check: bool = True, timeout_s: float = 150
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.python.parent / "shoal", *arguments],
            env=self.environment,
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"shoal {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def server_pid(self) -> int:
        return int(json.loads((self.state / "server.json").read_text())["pid"])

    def processes(self, cluster: str = "") -> list[psutil.Process]:
        """All processes of VMs of this session (of one cluster)."""
        found = []
        for process in psutil.process_iter():
            try:
                told = process.environ()
                alive = process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:  # it has just ended
                continue
            name = told.get("SHOAL_VM_NAME", "")
            mine = told.get("TMPDIR", "").startswith(str(self.state))
            if mine and alive and cluster in name:
                found.append(process)
        return found

    def process(self, number: int, kind: str) -> psutil.Process:
        """`kind`: "agent", "scheduler" or "worker", on the newest cluster's VM of this number."""
        words = {"agent": "shoal.agent"}.get(kind, f"{kind}_process")
        for it in self.processes():
            vm = it.environ().get("SHOAL_VM_NAME", "")
            if vm.endswith(f"-{number}") and any(words in part for part in it.cmdline()):
                return it
        raise AssertionError(f"no {kind} on VM {number}: {[p.cmdline() for p in self.processes()]}")

    def vm_directories(self) -> list[str]:
        directory = self.state / "local" / "vms"
        return sorted(os.listdir(directory)) if directory.exists() else []

    def control_groups(self) -> list[str]:
        """Of all VMs that this session ever had."""
        return [name for name, _ in self._vms() if ControlGroup.of(name).pids() is not None]

    def ports(self) -> list[str]:
        """On which something listens at the own address of a VM that this session ever had."""
        hosts = {address.rpartition(":")[0] for _, address in self._vms()} - {"", "127.0.0.1"}
        return [
            f"{it.laddr.ip}:{it.laddr.port}"
            for it in psutil.net_connections(kind="tcp")
            if it.status == psutil.CONN_LISTEN and it.laddr.ip in hosts
        ]

    def _vms(self) -> list[tuple[str, str]]:
        """Name and address of each, from the record: what is gone is there too."""
        record = self.state / "shoal.db"
        if not record.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{record}?mode=ro", uri=True)) as database:
            return database.execute("SELECT id, address FROM instance").fetchall()

    def nothing_left(self, timeout_s: float = 20.0) -> None:
        """No process, directory, control group or listening port of any VM."""
        until(lambda: not any(self._left().values()), timeout_s, self.left)

    def left(self) -> str:
        return str({what: found for what, found in self._left().items() if found})

    def _left(self) -> dict[str, list[str]]:
        return {
            "processes": [told for it in self.processes() if (told := _told(it))],
            "directories": self.vm_directories(),
            "control groups": self.control_groups(),
            "ports": self.ports(),
        }


def _told(process: psutil.Process) -> str:
    """Empty: it has ended meanwhile."""
    try:
        return str(process.cmdline()) if process.is_running() else ""
    except psutil.Error:
        return ""


class Script:
    def __init__(self, file: Path, session: Session) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [session.python, "-u", file],
            cwd=file.parent,
            env=session.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as told:
            for line in told:
                self.lines.append(line.rstrip())

    def says(self, text: str, timeout_s: float = 150.0) -> str:
        """The first line with this text, when it comes."""

        def found() -> bool:
            return any(text in line for line in self.lines) or self.process.poll() is not None

        until(found, timeout_s, lambda: "\n".join(self.lines))
        told = [line for line in self.lines if text in line]
        assert told, f"it ended without saying {text!r}:\n" + "\n".join(self.lines)
        return told[0]

    def finish(self, timeout_s: float = 240.0) -> list[str]:
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("it does not end:\n" + "\n".join(self.lines)) from None
        self._reader.join(5)
        assert self.process.returncode == 0, "\n".join(self.lines)
        return self.lines

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self.process.kill()
        self.over()

    def over(self, timeout_s: float = 100.0) -> int:
        """Wait for its end, however it ends; its exit status."""
        status = self.process.wait(timeout_s)
        self._reader.join(5)
        return status


def until(holds: Callable[[], bool], timeout_s: float, why: Callable[[], str] = lambda: "") -> None:
    """Wait for a condition; fail with `why` if it does not come."""
    deadline = time.monotonic() + timeout_s
    waiting = threading.Event()
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {why()}")
        waiting.wait(0.05)


def make_environment(where: Path, packages: list[str]) -> Path:
    """A virtual environment as a user would make it; its Python."""
    uv_bin = uv.find_uv_bin()
    subprocess.run([uv_bin, "venv", "--quiet", "--python", sys.executable, where], check=True)
    python = where / "bin" / "python"
    subprocess.run([uv_bin, "pip", "install", "--quiet", "--python", python, *packages], check=True)
    return python


def write_project(where: Path, name: str, code: str) -> Path:
    """A small project with a build backend, to be installed as editable."""
    (where / "src" / name).mkdir(parents=True, exist_ok=True)
    (where / "src" / name / "__init__.py").write_text(code)
    (where / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
        f'[tool.hatch.build.targets.wheel]\npackages = ["src/{name}"]\n'
    )
    return where


def sessions(root: Path, extras: str = "") -> Iterator[Session]:
    """One session, and its server ended after it. `extras`: of Shoal, as in "[aws]"."""
    project = write_project(root / "seaweed", "seaweed", "def grow(x):\n    return x + 1\n")
    python = make_environment(root / "venv", ["-e", f"{PROJECT}{extras}", "-e", str(project)])
    session = Session(root, python)
    yield session
    session.shoal("server", "stop", check=False)
    for it in session.processes():
        it.kill()

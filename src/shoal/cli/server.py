"""`shoal server`: the control plane of this machine, or of a team."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import msgspec

from shoal.cli import output
from shoal.wire.views import ServerInfo


class Status(msgspec.Struct, frozen=True):
    """`shoal server status --json`."""

    running: bool
    url: str = ""
    log: str = ""
    info: ServerInfo | None = None


@click.group("server")
def command() -> None:
    """The control plane: this machine's own starts by itself when it is needed.

    Example: shoal server status
    """


@command.command()
@click.option("--listen", metavar="HOST:PORT", help="Serve a team here, in the foreground.")
@click.option("--database", metavar="URL", help="Where the record is kept (default: SQLite).")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="PEM file.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="PEM file.")
@click.option("--behind-proxy", is_flag=True, help="A proxy in front of it ends TLS.")
def start(
    listen: str | None,
    database: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    behind_proxy: bool,
) -> None:
    """Start this machine's own server, or (with --listen) a team's.

    \b
    Examples:
      shoal server start
      shoal server start --listen 0.0.0.0:8780 --tls-cert cert.pem --tls-key key.pem \\
          --database postgresql+psycopg://shoal@db/shoal
    """
    flags = {
        "--listen": listen,
        "--database": database,
        "--tls-cert": tls_cert,
        "--tls-key": tls_key,
    }
    given = [part for flag, value in flags.items() if value for part in (flag, value)]
    given += ["--behind-proxy"] if behind_proxy else []
    if not given:
        _start_embedded()
    elif not listen:
        raise click.UsageError("A team's server needs --listen HOST:PORT.")
    else:
        _serve(given)


@command.command()
@output.json_option
def stop(as_json: bool) -> None:
    """End this machine's own server. Clusters go on, and are found again by the next one.

    Example: shoal server stop
    """
    from shoal.client import embedded
    from shoal.wire.state_directory import state_directory

    state = state_directory()
    stopped = embedded.stop(state)
    if as_json:
        output.json(Status(running=False, log=str(state.server_log)))
    elif stopped is None:
        output.note("No server was running.")
    else:
        output.note(f"Stopped the server (pid {stopped.pid}).")


@command.command()
@output.json_option
def status(as_json: bool) -> None:
    """Whether a server runs, and what it looks after. Starts none.

    Example: shoal server status --json
    """
    found = _status()
    if as_json:
        output.json(found)
    elif found.info is None:
        output.note(f"No server is running. Its log: {found.log}")
    else:
        _print(found, found.info)


def _print(found: Status, info: ServerInfo) -> None:
    output.facts(
        [
            ("url", found.url),
            ("version", info.version),
            ("pid", str(info.pid)),
            ("started", output.ago(info.started_at)),
            ("database", info.database),
            ("clusters", str(info.clusters)),
            ("you are", f"{info.user} in workspace {info.workspace}"),
            ("log", found.log),
        ]
    )


def _status() -> Status:
    from shoal.cli import session
    from shoal.client import connection, embedded
    from shoal.wire import endpoints
    from shoal.wire.state_directory import state_directory

    team = connection.configured()
    if team is not None:
        return Status(running=True, url=team.url, info=session.ask(endpoints.SERVER))
    state = state_directory()
    log = str(state.server_log)
    found = embedded.running(state)
    if found is None:
        return Status(running=False, log=log)
    return Status(running=True, url=found.url, log=log, info=embedded.info(found))


def _start_embedded() -> None:
    from shoal.client import embedded
    from shoal.wire.state_directory import state_directory

    place = embedded.ensure(state_directory(), output.note)
    output.note(f"The server listens on {place.url}.")


def _serve(arguments: list[str]) -> None:
    """Becomes the server: what supervises this process supervises it."""
    line = [_server_python(), "-m", "shoal.server", *arguments]
    if os.name == "posix":
        os.execv(line[0], line)
    sys.exit(subprocess.call(line))


def _server_python() -> str:
    """This one, if the server is installed beside the command; else Shoal's own environment."""
    from importlib.util import find_spec

    if all(
        find_spec(name)
        for name in ("starlette", "sqlalchemy", "uvicorn", "cryptography", "psycopg")
    ):
        return sys.executable
    from shoal.software import runtime
    from shoal.wire.state_directory import state_directory

    return str(runtime.ensure("server,postgres", root=state_directory().runtime))

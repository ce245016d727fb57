"""`shoal server`: the control plane of this machine, or of a team."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from shoal.cli import output
from shoal.errors import Conflict
from shoal.server.settings import OF_THE_PLACE, TEAM, Flag, check, flags, given
from shoal.wire.state_directory import state_directory
from shoal.wire.views import ServerInfo

Command = Callable[..., Any]


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


def _option(flag: Flag) -> Callable[[Command], Command]:
    if flag.kind is bool:
        return click.option(flag.name, flag.field, is_flag=True, default=None, help=flag.help)
    default = "" if flag.default in (None, "") else f" Default: {flag.default}."
    kind = click.Path(dir_okay=False) if flag.kind is Path else flag.kind
    metavar = _METAVARS.get(flag.field)
    return click.option(
        flag.name, flag.field, type=kind, metavar=metavar, help=f"{flag.help}{default}"
    )


_METAVARS = {"listen": "HOST:PORT", "database": "URL", "seen_as": "CIDR", "otlp_endpoint": "URL"}
_FLAGS = tuple(it for it in flags() if it.field not in OF_THE_PLACE)


def _settings(function: Command) -> Command:
    """An option for each of the server's settings."""
    for flag in reversed(_FLAGS):
        function = _option(flag)(function)
    return function


@command.command()
@_settings
@output.json_option
def start(as_json: bool, **settings: object) -> None:
    """Start this machine's own server, or (with --listen) a team's, in the foreground.

    Each setting may be a variable in place of a flag: --log-days is SHOAL_SERVER_LOG_DAYS. This
    machine's own server is started again when it is needed, with the variables that are set then.

    \b
    Examples:
      shoal server start
      shoal server start --listen 0.0.0.0:8780 --tls-cert cert.pem --tls-key key.pem \\
          --database postgresql+psycopg://shoal@db/shoal
    """
    words = [it for flag in _FLAGS for it in _words(flag, settings[flag.field])]
    listen = settings["listen"] or os.environ.get("SHOAL_SERVER_LISTEN")
    if not listen:
        if any(settings[it] for it in TEAM):
            raise click.UsageError("A team's server needs --listen HOST:PORT.")
        place = {"state_dir": state_directory().root, "embedded": True}
        check(given(place | settings, os.environ))
        _start_embedded(words, as_json=as_json)
    elif as_json:
        raise click.UsageError("A team's server runs in the foreground and prints no JSON.")
    else:
        check(given({"state_dir": state_directory().root, **settings}, os.environ))
        _serve(words)


def _words(flag: Flag, value: object) -> list[str]:
    if value is None:
        return []
    return [flag.name] if flag.kind is bool else [flag.name, str(value)]


@command.command()
@output.json_option
def stop(as_json: bool) -> None:
    """End this machine's own server. Clusters go on, and are found again by the next one.

    Example: shoal server stop
    """
    from shoal.client import embedded

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
    from shoal.client import connection
    from shoal.wire import endpoints

    team = connection.configured()
    if team is not None:
        return Status(running=True, url=team.url, info=session.ask(endpoints.SERVER))
    return _own_status()


def _own_status() -> Status:
    from shoal.client import embedded

    state = state_directory()
    log = str(state.server_log)
    found = embedded.running(state)
    if found is None:
        return Status(running=False, log=log)
    return Status(running=True, url=found.url, log=log, info=embedded.info(found))


def _start_embedded(settings: list[str], *, as_json: bool) -> None:
    from shoal.client import embedded

    state = state_directory()
    if settings and embedded.running(state) is not None:
        raise Conflict(
            "The server runs already, with the settings that it was started with.",
            hint="End it first; clusters go on meanwhile: shoal server stop",
        )
    place = embedded.ensure(state, output.note, settings)
    if as_json:
        output.json(_own_status())
    else:
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

    return str(runtime.ensure("server,postgres", root=state_directory().runtime))

"""Which server to speak with: the configured one, the one logged in to, or this machine's own.

    shoal.server and shoal.token (dask.config, so DASK_SHOAL__SERVER too)   a team's server
    login.json, written by `shoal login`                                    a team's server
    else, or shoal.server: embedded                                         this machine's own

Knows the order and nothing else. `find` blocks (it may start a server) and is called in a thread.
"""

from __future__ import annotations

from collections.abc import Callable

from shoal.client import configuration, embedded, login
from shoal.client.place import Place
from shoal.errors import NotLoggedIn, ServerUnreachable
from shoal.wire.state_directory import state_directory

EMBEDDED = "embedded"


def find(report: Callable[[str], None] = lambda sentence: None) -> Place:
    """Where to speak, the embedded server started if that is it."""
    return configured() or embedded.ensure(state_directory(), report)


def find_running() -> Place:
    """The same, but nothing is started."""
    place = configured()
    if place is not None:
        return place
    running = embedded.running(state_directory())
    if running is None:
        raise ServerUnreachable(
            "This machine's Shoal server does not run", hint="Start it with: shoal server start"
        )
    return embedded.place(running)


def configured() -> Place | None:
    """A team's server, if one is named; None: the embedded one is meant."""
    url, token = configuration.text("server"), configuration.text("token")
    if url == EMBEDDED:
        return None
    known = login.read(login.file())
    if not url:
        return known.place() if known else None
    url = login.address(url)
    if not token and known and known.url == url:
        return known.place()
    if not token:
        raise NotLoggedIn(
            f"shoal.server is {url}, but there is no token for it",
            hint=f"Log in: shoal login {url} --token TOKEN (or set DASK_SHOAL__TOKEN)",
        )
    return login.Login(url, token).place()

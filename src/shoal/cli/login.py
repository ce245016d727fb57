"""`shoal login`: which server to use from now on."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click
import msgspec

from shoal.cli import output
from shoal.wire.views import ServerInfo

if TYPE_CHECKING:
    from shoal.client.login import Login


class LoggedIn(msgspec.Struct, frozen=True):
    """`shoal login --json`; never the token."""

    logged_in: bool
    url: str = ""
    info: ServerInfo | None = None


@click.command("login")
@click.argument("url", required=False)
@click.option("--token", help="The API token; asked for if not given, or read from stdin (-).")
@click.option("--logout", is_flag=True, help="Forget it: use this machine's own server again.")
@output.json_option
def command(url: str | None, token: str | None, logout: bool, as_json: bool) -> None:
    """Use a team's server from now on.

    \b
    Examples:
      shoal login https://shoal.example.org
      shoal login https://shoal.example.org --token - < token.txt
      shoal login --logout
    """
    from shoal.client import login

    if logout:
        forgotten = login.forget(login.file())
        if as_json:
            output.json(LoggedIn(False))
        else:
            output.note("Logged out." if forgotten else "You were not logged in.")
        return
    if not url:
        raise click.UsageError("Which server? Give its URL.")
    found = login.Login(login.address(url), _token(token))
    info = asyncio.run(_check(found))  # a wrong address or token is told now, and not kept
    login.write(login.file(), found)
    if as_json:
        output.json(LoggedIn(True, found.url, info))
    else:
        output.note(f"Logged in to {found.url} as {info.user} in workspace {info.workspace}.")
    if login.unprotected(found.url):
        output.note("Your token goes there unencrypted with every call: better use https://")


def _token(given: str | None) -> str:
    if given == "-":
        return sys.stdin.read().strip()
    if given:
        return given
    return str(click.prompt("Token", hide_input=True, err=True)).strip()


async def _check(found: Login) -> ServerInfo:
    from shoal.client.api import Api
    from shoal.wire import endpoints

    async with Api(found.place) as api:
        info: ServerInfo = await api.call(endpoints.SERVER)
        return info

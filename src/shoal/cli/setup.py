"""`shoal setup CLOUD`: from the login that is there to an account that clusters can go to.

Says what it will make, and with which permissions, before it makes anything; can be run again at
any time; puts everything back with --remove. It runs with the login of this shell, and the server
is told names and places only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import click
import msgspec

from shoal.cli import asking, output
from shoal.clouds import images, regional
from shoal.clouds.account import Account, Outlined, Permission, Step
from shoal.errors import CloudError, InvalidRequest, NotFound
from shoal.wire.accounts import AccountList, CloudAccount, GcpAccount, cloud_of
from shoal.wire.specs import Cloud

CLOUDS = ("gcp", "aws", "azure")
_REGIONAL = {"vpc", "network", "subnet"}  # fields of accounts that may differ by region


class Told(msgspec.Struct, frozen=True):
    """`shoal setup --json`."""

    account: CloudAccount
    steps: tuple[Step, ...]
    permissions: tuple[Permission, ...]
    registered: bool


class Register(Protocol):
    """The server's list of accounts."""

    def known(self, cloud: Cloud) -> CloudAccount | None: ...

    def put(self, account: CloudAccount) -> None: ...

    def forget(self, cloud: Cloud) -> None: ...


class Wishes(msgspec.Struct, frozen=True):
    region: str
    yes: bool = False
    as_json: bool = False


@click.command("setup")
@click.argument("cloud", type=click.Choice(CLOUDS))
@click.option("--owner", help="Project, account or subscription; the login's own if not given.")
@click.option("--region", help="Where clusters go that name none; the login's own if not given.")
@click.option("--set", "fields", multiple=True, metavar="NAME=VALUE", help="As in network=corp.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--print", "only_print", is_flag=True, help="Print commands and role; do nothing.")
@click.option("--remove", "put_back", is_flag=True, help="Take away all that setup made.")
@output.json_option
def command(
    cloud: str,
    owner: str | None,
    region: str | None,
    fields: tuple[str, ...],
    yes: bool,
    only_print: bool,
    put_back: bool,
    as_json: bool,
) -> None:
    """Prepare a cloud account for clusters, with the login that is already there.

    Shows what it makes, and asks, also for project or region where the login does not say. Makes
    no key. Can be repeated.

    Example: shoal setup gcp --region us-east1
    """
    from shoal.clouds import logins

    register = ServerRegister()
    known = None if owner else register.known(Cloud(cloud))
    ask = None if yes or as_json else asking.prompt()
    found = known or asking.discovered(Cloud(cloud), owner, region, ask)
    account = logins.examined(changed(found, region, fields))
    wishes = Wishes(account.account.region, yes, as_json)
    if only_print:
        asyncio.run(print_plan(account, wishes))
    elif put_back:
        remove(account, register, wishes)
    else:
        prepare(account, register, wishes)


def changed(account: CloudAccount, region: str | None, fields: Sequence[str]) -> CloudAccount:
    """With what the command's options say; field names and kinds are those of CloudAccount."""
    told: dict[str, object] = msgspec.to_builtins(account)
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals or name not in account.__struct_fields__:
            names = ", ".join(account.__struct_fields__)
            raise InvalidRequest(f"--set {field}", hint=f"As in NAME=VALUE. Names: {names}.")
        told[name] = value
    if region is not None:
        told["region"] = region
    images.parsed(str(told["image"]))
    for name in _REGIONAL & told.keys():
        if regional.by_region(str(told[name])) and isinstance(account, GcpAccount):
            hint = "A network of Google's is in all regions, and its subnet has one name in each."
            raise InvalidRequest(f"--set {name}={told[name]}", hint=hint)
    try:
        return msgspec.convert(told, type(account), strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"--set: {error}") from error


def prepare(account: Account, register: Register, wishes: Wishes) -> None:
    steps = asyncio.run(_plan(account, wishes.region))
    todo = [it for it in steps if not it.done]
    if not wishes.as_json:
        _show(account, steps)
    if todo and not wishes.yes:
        asking.confirmed(_question(len(todo), len(steps)))
    ready = _made(account, wishes.region) if todo else account.account
    register.put(ready)
    if wishes.as_json:
        output.json(Told(ready, tuple(steps), tuple(account.permissions), registered=True))
        return
    cloud = cloud_of(ready)
    output.note(f"Clusters can go to {cloud} {ready.region} now. Prove it: shoal doctor {cloud}")


def _question(todo: int, steps: int) -> str:
    if todo == steps:
        return f"Make these {steps}?" if steps > 1 else "Make it?"
    return f"Make the {todo} that are to be made?" if todo > 1 else "Make the one that is missing?"


def _made(account: Account, region: str) -> CloudAccount:
    try:
        return asyncio.run(_prepare(account, region))
    except KeyboardInterrupt:
        output.note(
            f"\nSome of it may be made. Go on: shoal setup {account.cloud}. "
            f"Or take it away: shoal setup {account.cloud} --remove"
        )
        raise


def remove(account: Account, register: Register, wishes: Wishes) -> None:
    """First in the cloud, which refuses while VMs use it; then the server forgets the account."""
    if not wishes.yes:
        asking.confirmed("Remove everything that `shoal setup` made, in all regions?")
    gone = asyncio.run(_remove(account))
    register.forget(account.cloud)
    if wishes.as_json:
        told = Told(account.account, tuple(gone), tuple(account.permissions), registered=False)
        output.json(told)
        return
    for it in gone:
        click.echo(f"removed  {it.what}")
    output.note(f"Nothing of Shoal's own is left on {account.cloud}.")


async def print_plan(account: Account, wishes: Wishes) -> None:
    """For those whose platform team does it: the same as commands, and the server's role."""
    try:
        steps = await account.plan(wishes.region)
    except CloudError as error:
        if not isinstance(account, Outlined):
            raise
        steps = account.outline(wishes.region)
        output.note(f"Not looked at what is there: {error.message}")
    if wishes.as_json:
        output.json(
            Told(account.account, tuple(steps), tuple(account.permissions), registered=False)
        )
        return
    for it in steps:
        click.echo(f"# {it.what}{' (is there already)' if it.done else ''}")
        click.echo(it.command)
    click.echo()
    click.echo("# The role of the identity that the server runs as")
    click.echo(account.role())


async def _plan(account: Account, region: str) -> Sequence[Step]:
    return await account.plan(region)


async def _prepare(account: Account, region: str) -> CloudAccount:
    return await account.prepare(region)


async def _remove(account: Account) -> Sequence[Step]:
    return await account.remove()


def _show(account: Account, steps: Sequence[Step]) -> None:
    names = account.account.__struct_fields__
    output.facts([(name, str(getattr(account.account, name))) for name in names])
    click.echo()
    output.columns(("permission", "for"), [(it.name, it.why) for it in account.permissions])
    click.echo()
    output.columns(
        ("", "what"), [("is there" if it.done else "to be made", it.what) for it in steps]
    )
    click.echo()


class ServerRegister:
    def known(self, cloud: Cloud) -> CloudAccount | None:
        from shoal.cli import session
        from shoal.wire import endpoints

        found: AccountList = session.ask(endpoints.ACCOUNTS)
        return next((it for it in found.accounts if cloud_of(it) is cloud), None)

    def put(self, account: CloudAccount) -> None:
        from shoal.cli import session
        from shoal.client import connection, embedded
        from shoal.wire import endpoints
        from shoal.wire.state_directory import state_directory

        path = {"cloud": cloud_of(account).value}
        if connection.configured() is None:  # this machine's own server gets the cloud's client
            embedded.need(state_directory(), path["cloud"])
        session.ask(endpoints.PUT_ACCOUNT, path=path, body=account)

    def forget(self, cloud: Cloud) -> None:
        from shoal.cli import session
        from shoal.wire import endpoints

        try:
            session.ask(endpoints.REMOVE_ACCOUNT, path={"cloud": cloud.value})
        except NotFound:
            output.note(f"The server knew no account of {cloud}.")

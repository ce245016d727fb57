"""The Azure CLI's login: its default subscription and location, from its own files."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

import msgspec

from shoal.clouds.logins.missing import Missing, NotSaid
from shoal.errors import NotPossible
from shoal.wire.accounts import AzureAccount


class _Subscription(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    name: str = ""
    is_default: bool = False


class _Profile(msgspec.Struct, frozen=True):
    subscriptions: tuple[_Subscription, ...] = ()


def discover(owner: str | None, region: str | None) -> AzureAccount:
    """`owner`: a subscription's id or its name."""
    home = Path(os.environ.get("AZURE_CONFIG_DIR", Path.home() / ".azure"))
    subscription = _subscription(home, owner or os.environ.get("AZURE_SUBSCRIPTION_ID"))
    place = region or os.environ.get("AZURE_DEFAULTS_LOCATION") or _location(home)
    if not place:
        raise NotSaid(
            "The Azure CLI has no default location.",
            hint="Name one: --region eastus",
            missing=Missing.REGION,
        )
    return AzureAccount(subscription, place)


def _subscription(home: Path, asked: str | None) -> str:
    known = _profile(home).subscriptions
    for it in known:
        if asked in (it.id, it.name) if asked else it.is_default:
            return it.id
    if asked and not known:
        return asked  # a managed identity has no profile
    names = tuple(it.name or it.id for it in known)
    if asked:
        said = f"The login has no subscription {asked!r}."
        raise NotPossible(said, hint=f"It has: {', '.join(names)}.")
    if names:
        raise NotSaid(
            "No subscription of the login is the default one.",
            hint=f"Name one: --owner NAME. It has: {', '.join(names)}.",
            missing=Missing.OWNER,
            known=names,
        )
    raise NotPossible("There is no login to Azure here.", hint="az login")


def _profile(home: Path) -> _Profile:
    path = home / "azureProfile.json"
    if not path.is_file():
        return _Profile()
    text = path.read_text(encoding="utf-8-sig")  # the Azure CLI writes a byte order mark
    try:
        return msgspec.json.decode(text, type=_Profile)
    except msgspec.DecodeError as error:
        raise NotPossible(f"{path} cannot be read: {error}", hint="az login") from error


def _location(home: Path) -> str:
    parser = configparser.ConfigParser()
    parser.read(home / "config")
    return parser.get("defaults", "location", fallback="")

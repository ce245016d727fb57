"""Whose subscription the login on this machine leads to.

The Azure CLI notes the chosen one in its profile; without it, a login that sees exactly one
subscription means that one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shoal.clouds.azure.clients import Clients, Trust
from shoal.clouds.provider import LaunchError
from shoal.errors import NotPossible
from shoal.wire.accounts import AzureAccount


class _Subscription(msgspec.Struct, frozen=True, rename="camel"):
    id: str = ""
    subscription_id: str = ""
    is_default: bool = False


class _Profile(msgspec.Struct, frozen=True):
    subscriptions: tuple[_Subscription, ...] = ()


class _Subscriptions(msgspec.Struct, frozen=True):
    value: tuple[_Subscription, ...] = ()


async def discover(
    owner: str | None,
    region: str | None,
    *,
    environ: Mapping[str, str] = os.environ,
    endpoint: str = "",
    trust: Trust | None = None,
) -> AzureAccount:
    """`owner` is a subscription's id. Raises NotPossible, with what to do."""
    place = region or environ.get("AZURE_DEFAULTS_LOCATION", "")
    if not place:
        raise NotPossible(
            "The login does not say in which region of Azure to start.",
            hint="Name one: --region eastus (all: az account list-locations -o table)",
        )
    subscription = owner or environ.get("AZURE_SUBSCRIPTION_ID") or _default_of_cli(environ)
    account = AzureAccount(subscription or "none", place, endpoint=endpoint)
    if not subscription:
        subscription = await _only(Clients(account, clock=lambda: datetime.now(UTC), trust=trust))
    return msgspec.structs.replace(account, subscription=subscription)


def _default_of_cli(environ: Mapping[str, str]) -> str:
    folder = Path(environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure")
    try:
        text = (folder / "azureProfile.json").read_bytes()
        profile = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"), type=_Profile)
    except (OSError, msgspec.DecodeError):
        return ""
    return next((it.id for it in profile.subscriptions if it.is_default), "")


async def _only(clients: Clients) -> str:
    try:
        told = await clients.call(lambda: clients.get("/subscriptions?api-version=2022-12-01"))
    except LaunchError as error:
        raise NotPossible("There is no login to Azure here.", hint="az login") from error
    found = msgspec.json.decode(told, type=_Subscriptions).value
    if len(found) != 1:
        raise NotPossible(
            f"The login sees {len(found)} subscriptions of Azure.",
            hint="Choose one: az account set --subscription ID",
        )
    return found[0].subscription_id

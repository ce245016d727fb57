"""How this server reaches a cloud: its provider. An adapter is imported when it is used."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from shoal.clouds.catalog import Catalog
from shoal.clouds.provider import Provider
from shoal.core.records import Offer
from shoal.errors import NotPossible
from shoal.server.clock import now
from shoal.server.settings import Settings
from shoal.wire.accounts import AzureAccount, CloudAccount, cloud_of
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Cloud


class _Adapter(NamedTuple):
    module: str
    name: str


_ADAPTERS = {
    Cloud.GCP: _Adapter("shoal.clouds.gcp.cloud", "GcpCloud"),
    Cloud.AWS: _Adapter("shoal.clouds.aws.cloud", "AwsCloud"),
    Cloud.AZURE: _Adapter("shoal.clouds.azure.cloud", "AzureCloud"),
}


_CLIENTS = {
    Cloud.GCP: "google.cloud.compute_v1",
    Cloud.AWS: "boto3",
    Cloud.AZURE: "azure.mgmt.compute",
}


def clients_at_hand() -> tuple[Cloud, ...]:
    """Clouds whose own clients are installed here; nothing of them is imported."""
    return tuple(cloud for cloud, module in _CLIENTS.items() if _is_installed(module))


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


def reached(account: CloudAccount, installation: InstallationId, catalog: Catalog) -> Provider:
    """Raises NotPossible where the cloud's own client is not installed."""
    cloud = cloud_of(account)
    adapter = _ADAPTERS[cloud]
    try:
        module = importlib.import_module(adapter.module)
    except ModuleNotFoundError as error:
        raise _lacks(cloud, error.name or "") from error

    def offers(region: str | None) -> Sequence[Offer]:
        known = catalog.offers(cloud, region or account.region)
        return tuple(addressed(it, account) for it in known)

    made: Provider = getattr(module, adapter.name)(account, installation, clock=now, offers=offers)
    return made


def addressed(offer: Offer, account: CloudAccount) -> Offer:
    """With the price of a public address for those roles whose VMs have one. (On Azure a scheduler
    without a way in has one to go out by, as its workers do.)"""
    price = offer.address_uusd_per_hour
    if price is None:
        return offer
    outgoing = isinstance(account, AzureAccount) and account.public_workers
    return replace(
        offer,
        address_uusd_per_hour=price if account.public_workers else 0,
        head_address_uusd_per_hour=price if account.public_scheduler or outgoing else 0,
    )


def _lacks(cloud: Cloud, module: str) -> NotPossible:
    if module.startswith("shoal."):
        return NotPossible(f"This version of Shoal does not reach {cloud} yet.")
    return NotPossible(
        f"This server lacks {cloud}'s own client ({module}).",
        hint=f"Install it where the server runs: pip install 'shoal[{cloud}]'",
    )


def local(settings: Settings, installation: InstallationId) -> Provider:
    from shoal.clouds.local import LocalCloud
    from shoal.software import runtime

    state = settings.state
    return LocalCloud(
        state.local_cloud,
        installation,
        agent_python=lambda: runtime.ensure("agent", root=state.runtime),
        environments=state.software_store,
        clock=now,
    )

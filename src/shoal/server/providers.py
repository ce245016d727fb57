"""How this server reaches a cloud: its provider. An adapter is imported when it is used."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from shoal.clouds.provider import Provider
from shoal.errors import NotPossible
from shoal.server.clock import now
from shoal.server.settings import Settings
from shoal.wire.accounts import CloudAccount, cloud_of
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Cloud


class _Adapter(NamedTuple):
    module: str
    name: str


_ADAPTERS: dict[Cloud, _Adapter] = {
    Cloud.AZURE: _Adapter("shoal.clouds.azure.cloud", "AzureCloud"),
}


def reached(account: CloudAccount, installation: InstallationId) -> Provider:
    """Raises NotPossible where the cloud's own client is not installed."""
    cloud = cloud_of(account)
    adapter = _ADAPTERS.get(cloud)
    if adapter is None:
        raise NotPossible(f"This version of Shoal does not reach {cloud} yet.")
    try:
        module = importlib.import_module(adapter.module)
    except ModuleNotFoundError as error:
        raise NotPossible(
            f"This server lacks {cloud}'s own client ({error.name}).",
            hint=f"Install it where the server runs: pip install 'shoal[{cloud}]'",
        ) from error
    made: Provider = getattr(module, adapter.name)(account, installation, clock=now)
    return made


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

"""Which clouds this server can reach, constructed; an adapter is imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping

from shoal.clouds.provider import Provider
from shoal.server.settings import Settings
from shoal.wire.ids import InstallationId
from shoal.wire.specs import Cloud


def providers_for(settings: Settings, installation: InstallationId) -> Mapping[Cloud, Provider]:
    return {Cloud.LOCAL: _local(settings, installation)}


def _local(settings: Settings, installation: InstallationId) -> Provider:
    from shoal.clouds.local import LocalCloud
    from shoal.server.clock import now
    from shoal.software import runtime

    state = settings.state
    return LocalCloud(
        state.local_cloud,
        installation,
        agent_python=lambda: runtime.ensure("agent", root=state.runtime),
        environments=state.software_store,
        clock=now,
    )

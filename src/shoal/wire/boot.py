"""The boot document: all that a VM is told at birth, the same bytes for a whole batch.

A worker's holds no identity: the CA certificate, the head's address, the join secret. The head's
holds its own certificate and key besides. What the VM is called it learns from the cloud (on the
local cloud from SHOAL_VM_NAME). Everything else comes as orders.
"""

from __future__ import annotations

import msgspec

from shoal.wire.ids import ClusterId
from shoal.wire.specs import Role


class BootDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    cluster: ClusterId
    role: Role
    ca_pem: str
    join_secret: str
    head_address: str = ""  # host:port; empty for the head itself
    certificate_pem: str = ""  # the head's, with its chain
    key_pem: str = ""  # the head's
    lifetime_s: float = 0.0  # the dead man: the VM ends itself by then; 0: no limit
    cloud: str = ""  # whose metadata service knows the VM; empty: its own environment does
    silence_s: float = 600.0  # the dead man: without orders or a head for so long, it ends

    def __repr__(self) -> str:
        return f"BootDocument(cluster={self.cluster!r}, role={self.role!r}, …)"


AGENT_PORT = 8788
SCHEDULER_PORT = 8786
DASHBOARD_PORT = 8787

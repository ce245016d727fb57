"""The cluster's certificates for Dask's own `tls://`: arguments of `distributed.security.Security`.

Dask requires a certificate at both ends, believes any that the CA vouches for, and verifies no
name (distributed/security.py, `_get_tls_context`, 2026.8): inside the cluster every peer is trusted
as much as any other. The chain still says who may listen: a user's certificate cannot.

Dask takes PEM text where it takes a path, told apart by the newline. It writes a key given as text
to a temporary file for a moment; on a VM it is given the files instead. A process has one identity,
so the same is given for all three of Dask's roles: a worker's tasks may open clients.

Imports no Dask.
"""

from __future__ import annotations

import ssl
from typing import TypedDict

from shoal.trust.identities import Identity, IdentityFiles


class SecurityArguments(TypedDict):
    """For `Security(**arguments)`."""

    require_encryption: bool
    tls_min_version: ssl.TLSVersion
    tls_ca_file: str
    tls_client_cert: str
    tls_client_key: str
    tls_scheduler_cert: str
    tls_scheduler_key: str
    tls_worker_cert: str
    tls_worker_key: str


def from_text(identity: Identity) -> SecurityArguments:
    """For the user's own process: nothing stays on disk."""
    return _arguments(identity.ca_pem, identity.certificate_pem, identity.key_pem.text)


def from_files(files: IdentityFiles) -> SecurityArguments:
    """For Dask's processes on a VM, which find them in the agent's directory."""
    return _arguments(str(files.ca), str(files.certificate), str(files.key))


def _arguments(ca: str, certificate: str, key: str) -> SecurityArguments:
    return SecurityArguments(
        require_encryption=True,
        tls_min_version=ssl.TLSVersion.TLSv1_3,
        tls_ca_file=ca,
        tls_client_cert=certificate,
        tls_client_key=key,
        tls_scheduler_cert=certificate,
        tls_scheduler_key=key,
        tls_worker_cert=certificate,
        tls_worker_key=key,
    )

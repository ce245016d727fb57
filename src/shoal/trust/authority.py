"""A cluster's certificates, from the server's key, on the server.

The problem is to have them at any later moment, after any crash and on any replica, without storing
a private key for each cluster. So they are not stored but derived: the same key, cluster id and
creation time give the same bytes, and those of two clusters have nothing in common. The CA's
private key never leaves this module.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shoal.trust.certificates import Issuer, certificate_text, issue, key_text, root
from shoal.trust.identities import ClientIdentity, HeadIdentity
from shoal.trust.installation_key import InstallationKey
from shoal.trust.names import Peer, Role
from shoal.trust.secret import Secret
from shoal.wire.ids import ClusterId, UserName


def ca_pem(key: InstallationKey, cluster: ClusterId, created_at: datetime) -> str:
    """What everyone in the cluster believes, and all that a worker must be given to verify."""
    return certificate_text(_root(key, cluster, created_at).certificate)


def join_secret(key: InstallationKey, cluster: ClusterId) -> Secret:
    """What a worker shows to the head, before it has a certificate: 43 URL-safe characters."""
    return Secret(urlsafe_b64encode(key.derive("join", cluster)).decode().rstrip("="))


def head_identity(key: InstallationKey, cluster: ClusterId, created_at: datetime) -> HeadIdentity:
    own_key = _private_key(key, "head", cluster)
    issuer = _root(key, cluster, created_at)
    certificate = issue(issuer, Peer(Role.HEAD, cluster, Role.HEAD), own_key.public_key())
    return HeadIdentity(
        ca_pem=certificate_text(issuer.certificate),
        certificate_pem=certificate_text(certificate),
        key_pem=key_text(own_key),
    )


def server_identity(
    key: InstallationKey, cluster: ClusterId, created_at: datetime
) -> ClientIdentity:
    """What the server dials this cluster's head with; of no use in any other."""
    issuer = _root(key, cluster, created_at)
    own_key = _private_key(key, "server", cluster)
    return _client(issuer, Peer(Role.SERVER, cluster, Role.SERVER), own_key)


def client_identity(
    key: InstallationKey, cluster: ClusterId, created_at: datetime, user: UserName
) -> ClientIdentity:
    """What a user's Dask client connects to this cluster's scheduler with."""
    issuer = _root(key, cluster, created_at)
    own_key = _private_key(key, "client", cluster, user)
    return _client(issuer, Peer(Role.CLIENT, cluster, user), own_key)


def _client(issuer: Issuer, peer: Peer, own_key: Ed25519PrivateKey) -> ClientIdentity:
    return ClientIdentity(
        ca_pem=certificate_text(issuer.certificate),
        certificate_pem=certificate_text(issue(issuer, peer, own_key.public_key())),
        key_pem=key_text(own_key),
    )


def _root(key: InstallationKey, cluster: ClusterId, created_at: datetime) -> Issuer:
    return root(cluster, _private_key(key, "ca", cluster), created_at)


def _private_key(key: InstallationKey, purpose: str, *names: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(key.derive(purpose, *names))

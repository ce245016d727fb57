"""What a peer is called inside its certificate, and what may be read off that name.

Addresses come and go, and a certificate is made before its VM has one, so peers are known by name:

    shoal://<role>.<cluster>.shoal/<name>      a URI in the subject alternative names, of everybody
    head.<cluster>.shoal                       a DNS name too, for the head: what it is dialled by

The role stands in the host part of the URI because that is what X.509 name constraints can
restrict (RFC 5280, 4.2.1.10): the head's certificate may issue `worker.<cluster>.shoal` and no
other, and OpenSSL enforces it.
"""

from __future__ import annotations

import re
from enum import StrEnum
from urllib.parse import quote, unquote

import msgspec

from shoal.errors import InvalidRequest, NotAllowed
from shoal.wire.ids import ClusterId

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")
_URI = re.compile(r"shoal://(?P<role>[a-z]+)\.(?P<cluster>[a-z0-9-]+)\.shoal/(?P<name>[^/?#]+)")


class Role(StrEnum):
    SERVER = "server"  # the control plane; dials the head
    HEAD = "head"  # the agent on the scheduler's VM, and the Dask scheduler; signs workers
    WORKER = "worker"  # the agent on any other VM, and its Dask workers
    CLIENT = "client"  # a user's Dask client


class Peer(msgspec.Struct, frozen=True):
    role: Role
    cluster: ClusterId
    name: str  # a worker's instance id, a client's user name; else the role's own word


def host_name(role: Role, cluster: ClusterId) -> str:
    """The name that stands in for an address: what TLS verifies, resolved by nobody."""
    return f"{role}.{domain(cluster)}"


def domain(cluster: ClusterId) -> str:
    if not _LABEL.fullmatch(cluster):
        raise InvalidRequest(f"{cluster!r} is not a cluster id.")
    return f"{cluster}.shoal"


def uri(peer: Peer) -> str:
    return f"shoal://{host_name(peer.role, peer.cluster)}/{quote(peer.name, safe='')}"


def from_uri(text: str) -> Peer:
    found = _URI.fullmatch(text)
    if not found or found["role"] not in list(Role):
        raise NotAllowed(f"The certificate is for {text!r}, which names nobody in a cluster.")
    return Peer(Role(found["role"]), ClusterId(found["cluster"]), unquote(found["name"]))

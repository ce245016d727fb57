"""One installation with two clusters, and a TLS handshake that needs no socket."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime

from shoal.trust.identities import HeadIdentity, WorkerIdentity
from shoal.trust.installation_key import InstallationKey
from shoal.trust.joining import new_request, sign
from shoal.trust.names import Role, host_name
from shoal.wire.ids import ClusterId, instance_id

KEY = InstallationKey(bytes(range(32)))
CLUSTER = ClusterId("c-abcdefghij")
OTHER = ClusterId("c-zzzzzzzzzz")
CREATED_AT = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)
HEAD_NAME = host_name(Role.HEAD, CLUSTER)


def join(head: HeadIdentity, number: int, cluster: ClusterId = CLUSTER) -> WorkerIdentity:
    """What a worker's VM ends up with."""
    instance = instance_id(cluster, number)
    request = new_request(instance, cluster)
    return WorkerIdentity(head.ca_pem, sign(head, request.csr_pem, instance), request.key_pem)


def shake_hands(
    listening: ssl.SSLContext, dialing: ssl.SSLContext, name: str | None = HEAD_NAME
) -> bytes | None:
    """Connect in memory; returns what the listener was shown, or raises what either end did."""
    to_listener, to_dialer = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = listening.wrap_bio(to_listener, to_dialer, server_side=True)
    client = dialing.wrap_bio(to_dialer, to_listener, server_hostname=name)
    for end in (client, server, client, server):
        _advance(end)
    server.write(b"!")
    assert client.read(1) == b"!"
    return server.getpeercert(binary_form=True)


def _advance(end: ssl.SSLObject) -> None:
    with suppress(ssl.SSLWantReadError):
        end.do_handshake()

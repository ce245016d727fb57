"""Who gets through to whom: every claim is a handshake with OpenSSL, in memory."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from two_clusters import CLUSTER, CREATED_AT, HEAD_NAME, KEY, OTHER, join, shake_hands

from shoal.trust import authority
from shoal.trust.certificates import Issuer, certificate_text, issue, key_text
from shoal.trust.contexts import dialer, joining_dialer, listener
from shoal.trust.identities import ClientIdentity, HeadIdentity, Identity, WorkerIdentity
from shoal.trust.names import Peer, Role
from shoal.trust.peers import peer_role
from shoal.wire.ids import UserName, instance_id

SERVER = authority.server_identity(KEY, CLUSTER, CREATED_AT)
CLIENT = authority.client_identity(KEY, CLUSTER, CREATED_AT, UserName("ada"))


def issued_by(issuer: Identity, peer: Peer) -> ClientIdentity:
    """A certificate that breaks the rules: signed by whoever has a key, for whomever."""
    key = load_pem_private_key(issuer.key_pem.text.encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    own_key = Ed25519PrivateKey.generate()
    certificate = load_pem_x509_certificate(issuer.certificate_pem.encode())
    leaf = issue(Issuer(certificate, key), peer, own_key.public_key())
    chain = certificate_text(leaf) + issuer.certificate_pem
    return ClientIdentity(issuer.ca_pem, chain, key_text(own_key))


def strict(head: HeadIdentity) -> ssl.SSLContext:
    return listener(head, certificate_required=True)


@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT, Role.WORKER, Role.HEAD])
def test_every_peer_of_a_cluster_gets_through_to_its_head_and_is_known(
    head: HeadIdentity, worker: WorkerIdentity, role: Role
) -> None:
    identities: dict[Role, Identity] = {
        Role.SERVER: SERVER,
        Role.CLIENT: CLIENT,
        Role.WORKER: worker,
        Role.HEAD: head,
    }
    shown = shake_hands(strict(head), dialer(identities[role]))
    assert shown is not None
    assert peer_role(shown).role is role


def test_without_a_certificate_nobody_gets_through_where_one_is_required(
    head: HeadIdentity,
) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)peer did not return a certificate"):
        shake_hands(strict(head), joining_dialer(head.ca_pem))


def test_a_joining_worker_gets_through_as_nobody(head: HeadIdentity) -> None:
    open_door = listener(head, certificate_required=False)
    assert shake_hands(open_door, joining_dialer(head.ca_pem)) is None


@pytest.mark.parametrize("required", [True, False])
def test_peers_of_another_cluster_are_refused(head: HeadIdentity, required: bool) -> None:
    other_head = authority.head_identity(KEY, OTHER, CREATED_AT)
    others: list[Identity] = [
        other_head,
        join(other_head, 7, OTHER),
        authority.server_identity(KEY, OTHER, CREATED_AT),
        authority.client_identity(KEY, OTHER, CREATED_AT, UserName("ada")),
    ]
    for other in others:
        impostor = type(other)(head.ca_pem, other.certificate_pem, other.key_pem)
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(listener(head, certificate_required=required), dialer(impostor))


def test_the_head_of_another_cluster_is_refused(worker: WorkerIdentity) -> None:
    other = authority.head_identity(KEY, OTHER, CREATED_AT)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(strict(other), dialer(worker))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(strict(other), joining_dialer(worker.ca_pem))


def test_a_worker_cannot_pass_for_the_head(worker: WorkerIdentity) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(listener(worker, certificate_required=True), dialer(SERVER))


def test_a_client_cannot_listen(worker: WorkerIdentity) -> None:
    posing = WorkerIdentity(CLIENT.ca_pem, CLIENT.certificate_pem, CLIENT.key_pem)
    trusting = dialer(worker)
    trusting.check_hostname = False  # as Dask does
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)unsuitable certificate purpose"):
        shake_hands(listener(posing, certificate_required=True), trusting)


def test_an_address_is_not_a_name(head: HeadIdentity) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        shake_hands(strict(head), dialer(SERVER), "127.0.0.1")


@pytest.mark.parametrize("role", list(Role))
def test_a_worker_can_sign_nobody(head: HeadIdentity, worker: WorkerIdentity, role: Role) -> None:
    second = issued_by(worker, Peer(role, CLUSTER, instance_id(CLUSTER, 8)))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"invalid CA cert|self-signed cert"):
        shake_hands(strict(head), dialer(second))


@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT])
def test_a_head_can_sign_nobody_but_workers(head: HeadIdentity, role: Role) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shake_hands(strict(head), dialer(issued_by(head, Peer(role, CLUSTER, "mallory"))))


def test_a_head_cannot_sign_a_second_head(head: HeadIdentity) -> None:
    second = issued_by(head, Peer(Role.HEAD, CLUSTER, "mallory"))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(strict(head), dialer(second))


@pytest.mark.parametrize(
    ("created_at", "words"),
    [
        (datetime(2010, 1, 1, tzinfo=UTC), "certificate has expired"),
        (datetime(2100, 1, 1, tzinfo=UTC), "certificate is not yet valid"),
    ],
)
def test_certificates_are_refused_outside_their_time(created_at: datetime, words: str) -> None:
    head = authority.head_identity(KEY, CLUSTER, created_at)
    with pytest.raises(ssl.SSLCertVerificationError, match=words):
        shake_hands(strict(head), joining_dialer(head.ca_pem))


def test_older_tls_is_refused(head: HeadIdentity) -> None:
    old = dialer(SERVER)
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=re.compile("protocol", re.IGNORECASE)):
        shake_hands(strict(head), old)


def test_nothing_but_the_clusters_ca_is_trusted(head: HeadIdentity) -> None:
    for context in (strict(head), dialer(SERVER), joining_dialer(head.ca_pem)):
        assert [dict(one["subject"][0]) for one in context.get_ca_certs()] == [  # type: ignore[arg-type]
            {"commonName": f"{CLUSTER}.shoal"}
        ]


def test_the_name_to_dial_is_the_heads() -> None:
    assert HEAD_NAME == "head.c-abcdefghij.shoal"

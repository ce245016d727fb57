from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from two_clusters import CLUSTER, CREATED_AT, KEY, OTHER

from shoal.errors import InvalidRequest, NotAllowed
from shoal.trust import authority
from shoal.trust.certificates import subject
from shoal.trust.identities import HeadIdentity, WorkerIdentity
from shoal.trust.joining import check_join_secret, new_request, sign
from shoal.trust.names import Peer, Role, uri
from shoal.trust.peers import peer_role
from shoal.trust.secret import Secret
from shoal.wire.ids import instance_id

INSTANCE = instance_id(CLUSTER, 7)
WORKER = Peer(Role.WORKER, CLUSTER, INSTANCE)
NAMES = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri(WORKER))])


def request_for(
    *extensions: x509.ExtensionType, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey
) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(WORKER))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    request = builder.sign(key, None if isinstance(key, Ed25519PrivateKey) else SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def test_a_worker_is_certified_as_the_instance_it_is(worker: WorkerIdentity) -> None:
    assert peer_role(worker.certificate_pem) == WORKER


def test_every_request_has_a_key_of_its_own() -> None:
    one, two = new_request(INSTANCE, CLUSTER), new_request(INSTANCE, CLUSTER)
    assert one.key_pem != two.key_pem
    assert one.key_pem.text not in repr(one)


def test_only_the_clusters_join_secret_opens_the_door() -> None:
    secret = authority.join_secret(KEY, CLUSTER)
    check_join_secret(secret, Secret(secret.text))
    for wrong in ("", "ключ", secret.text[:-1], authority.join_secret(KEY, OTHER).text):
        with pytest.raises(NotAllowed, match="join secret") as refusal:
            check_join_secret(secret, Secret(wrong))
        assert secret.text not in str(refusal.value)


def test_a_request_for_another_instance_or_cluster_is_refused(head: HeadIdentity) -> None:
    another = new_request(instance_id(CLUSTER, 8), CLUSTER)
    elsewhere = new_request(INSTANCE, OTHER)
    for request in (another, elsewhere):
        with pytest.raises(NotAllowed, match="asks for more"):
            sign(head, request.csr_pem, INSTANCE)


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [NAMES, x509.BasicConstraints(ca=True, path_length=None)],
        [NAMES, x509.BasicConstraints(ca=False, path_length=None)],
        [x509.SubjectAlternativeName([*NAMES, x509.DNSName(f"head.{CLUSTER}.shoal")])],
        [x509.SubjectAlternativeName([x509.DNSName(f"head.{CLUSTER}.shoal")])],
        [
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(uri(Peer(Role.SERVER, CLUSTER, INSTANCE)))]
            )
        ],
    ],
    ids=["nothing", "a-ca", "constraints", "a-name-more", "another-name", "another-role"],
)
def test_a_request_for_anything_but_ones_own_name_is_refused(
    head: HeadIdentity, extensions: list[x509.ExtensionType]
) -> None:
    csr = request_for(*extensions, key=Ed25519PrivateKey.generate())
    with pytest.raises(NotAllowed, match="asks for more"):
        sign(head, csr, INSTANCE)


def test_only_keys_of_our_kind_are_signed(head: HeadIdentity) -> None:
    csr = request_for(NAMES, key=ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(NotAllowed, match="Ed25519"):
        sign(head, csr, INSTANCE)


def test_a_request_must_be_signed_by_the_key_it_is_for(head: HeadIdentity) -> None:
    der = x509.load_pem_x509_csr(new_request(INSTANCE, CLUSTER).csr_pem.encode()).public_bytes(
        Encoding.DER
    )
    forged = x509.load_der_x509_csr(der[:-1] + bytes([der[-1] ^ 1]))
    with pytest.raises(NotAllowed, match="not signed"):
        sign(head, forged.public_bytes(Encoding.PEM).decode(), INSTANCE)


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\n"])
def test_what_is_no_request_is_refused(head: HeadIdentity, text: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        sign(head, text, INSTANCE)


def test_a_head_signs_for_its_own_cluster_only() -> None:
    other = authority.head_identity(KEY, OTHER, CREATED_AT)
    with pytest.raises(NotAllowed, match="asks for more"):
        sign(other, new_request(INSTANCE, CLUSTER).csr_pem, INSTANCE)

"""How a new VM becomes a peer: it makes a key, and the head signs it.

One call to a cloud starts many workers with the same boot text, so that text cannot hold an
identity. It holds a secret that says "I was started for this cluster". With it the worker asks,
over TLS that verified the head, for a certificate on a key that never leaves the VM.

    worker   new_request  ->  key (stays), certificate request (travels)
    head     check_join_secret, then sign  ->  the worker's chain

The head builds the certificate from scratch: all that it takes from a request is the public key. A
request that asks for anything else is refused, since no agent of ours sends one.
"""

from __future__ import annotations

import hmac

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from shoal.errors import InvalidRequest, NotAllowed
from shoal.trust.certificates import Issuer, certificate_text, issue, key_text, subject
from shoal.trust.identities import HeadIdentity
from shoal.trust.names import Peer, Role, uri
from shoal.trust.peers import peer_role
from shoal.trust.secret import Secret
from shoal.wire.ids import ClusterId, InstanceId


class JoinRequest(msgspec.Struct, frozen=True):
    key_pem: Secret
    csr_pem: str


def new_request(instance: InstanceId, cluster: ClusterId) -> JoinRequest:
    """On the worker's VM: a fresh key, and the request to certify it."""
    peer = Peer(Role.WORKER, cluster, instance)
    key = Ed25519PrivateKey.generate()
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(peer))
    request = builder.add_extension(_requested_names(peer), critical=False).sign(key, None)
    return JoinRequest(key_text(key), request.public_bytes(Encoding.PEM).decode())


def check_join_secret(expected: Secret, offered: Secret) -> None:
    """On the head, before anything else is looked at; takes as long for any wrong secret."""
    if not hmac.compare_digest(expected.text.encode(), offered.text.encode()):
        raise NotAllowed(
            "The join secret is not this cluster's.",
            hint="Only VMs that Shoal started for a cluster may join it.",
        )


def sign(head: HeadIdentity, csr_pem: str, instance: InstanceId) -> str:
    """On the head: the worker's certificate, followed by the head's own that vouches for it."""
    peer = Peer(Role.WORKER, peer_role(head.certificate_pem).cluster, instance)
    certificate = issue(_issuer(head), peer, _requested_key(csr_pem, peer))
    return certificate_text(certificate) + head.certificate_pem


def _issuer(head: HeadIdentity) -> Issuer:
    key = load_pem_private_key(head.key_pem.text.encode(), password=None)
    assert isinstance(key, Ed25519PrivateKey)  # authority.py makes no other
    return Issuer(x509.load_pem_x509_certificate(head.certificate_pem.encode()), key)


def _requested_key(csr_pem: str, peer: Peer) -> Ed25519PublicKey:
    """The key to certify, of a request that is well-formed and asks for `peer` and no more."""
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        asked = [extension.value for extension in request.extensions]
        key = request.public_key()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise InvalidRequest("The certificate request cannot be read.") from error
    if request.subject != subject(peer) or asked != [_requested_names(peer)]:
        raise NotAllowed(f"The certificate request asks for more than to be {peer.name}.")
    if not isinstance(key, Ed25519PublicKey) or not request.is_signature_valid:
        raise NotAllowed("The certificate request is not signed by the Ed25519 key it is for.")
    return key


def _requested_names(peer: Peer) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri(peer))])

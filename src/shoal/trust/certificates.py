"""X.509, in the one place that says what the certificate of each role may do.

    the cluster's CA     signs head, server and clients; its key stays in the server
    └── head             listens and dials; signs workers and nothing else (name constraint)
    │   └── worker       listens and dials: Dask workers talk to each other
    ├── server           dials
    └── client           dials

Nothing here is random and nothing reads a clock: keys and dates are arguments, Ed25519 signatures
are deterministic (RFC 8032), and a serial number is a hash of the certified key. All certificates
of a cluster are valid as long as its CA.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shoal.errors import InvalidRequest
from shoal.trust.names import Peer, Role, domain, host_name, uri
from shoal.trust.secret import Secret
from shoal.wire.ids import ClusterId

BEFORE = timedelta(days=1)  # for VMs whose clock is behind
AFTER = timedelta(days=3650)  # no cluster lives so long; ending it is how its certificates end

_LISTENERS = frozenset({Role.HEAD, Role.WORKER})


class Issuer(msgspec.Struct, frozen=True):
    certificate: x509.Certificate
    key: Ed25519PrivateKey


def root(cluster: ClusterId, key: Ed25519PrivateKey, created_at: datetime) -> Issuer:
    """The cluster's CA: self-signed, and trusted because whoever needs it is given it."""
    if created_at.tzinfo is None:
        raise InvalidRequest("A cluster's creation time must say its time zone.")
    name = _name(domain(cluster))
    start = created_at.astimezone(UTC).replace(microsecond=0)
    builder = _builder(name, name, key.public_key())
    builder = builder.not_valid_before(start - BEFORE).not_valid_after(start + AFTER)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    builder = builder.add_extension(_key_usage(signs=True, speaks=False), critical=True)
    builder = builder.add_extension(_key_id(key.public_key()), critical=False)
    return Issuer(builder.sign(key, None), key)


def issue(issuer: Issuer, peer: Peer, public_key: Ed25519PublicKey) -> x509.Certificate:
    """A certificate for `peer`, with all that its role may do and nothing more."""
    issued_by = issuer.certificate
    builder = _builder(subject(peer), issued_by.subject, public_key)
    builder = builder.not_valid_before(issued_by.not_valid_before_utc)
    builder = builder.not_valid_after(issued_by.not_valid_after_utc)
    for extension, critical in _extensions(peer, public_key):
        builder = builder.add_extension(extension, critical=critical)
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return builder.add_extension(key_id, critical=False).sign(issuer.key, None)


def subject(peer: Peer) -> x509.Name:
    return _name(host_name(peer.role, peer.cluster))


def certificate_text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def key_text(key: Ed25519PrivateKey) -> Secret:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Secret(pem.decode())


def _builder(
    name: x509.Name, issuer: x509.Name, public_key: Ed25519PublicKey
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer)
    return builder.public_key(public_key).serial_number(_serial(public_key))


def _serial(public_key: Ed25519PublicKey) -> int:
    """Unique under its issuer, because no two certificates of a cluster share a key."""
    digest = sha256(public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()
    return int.from_bytes(digest[:8], "big") >> 1 | 1  # positive, and 8 bytes at most


def _extensions(
    peer: Peer, public_key: Ed25519PublicKey
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    signs = peer.role is Role.HEAD
    yield x509.BasicConstraints(ca=signs, path_length=0 if signs else None), True
    yield _key_usage(signs=signs, speaks=True), True
    yield x509.ExtendedKeyUsage(_purposes(peer.role)), False
    yield x509.SubjectAlternativeName(_names(peer)), False
    if signs:
        yield _key_id(public_key), False
        yield _only_workers(peer.cluster), True


def _names(peer: Peer) -> Iterator[x509.GeneralName]:
    yield x509.UniformResourceIdentifier(uri(peer))
    if peer.role is Role.HEAD:
        yield x509.DNSName(host_name(peer.role, peer.cluster))


def _purposes(role: Role) -> Iterator[x509.ObjectIdentifier]:
    yield ExtendedKeyUsageOID.CLIENT_AUTH
    if role in _LISTENERS:
        yield ExtendedKeyUsageOID.SERVER_AUTH


def _only_workers(cluster: ClusterId) -> x509.NameConstraints:
    """OpenSSL checks this against the URI's host (v3_ncons.c, `nc_uri`), for those it issued."""
    workers = x509.UniformResourceIdentifier(host_name(Role.WORKER, cluster))
    return x509.NameConstraints(permitted_subtrees=[workers], excluded_subtrees=None)


def _key_id(public_key: Ed25519PublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(public_key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, signs: bool, speaks: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=speaks,
        key_cert_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )

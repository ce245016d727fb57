"""Who a certificate says its holder is.

Only reads: the certificate must be one that TLS has verified against the cluster's CA.
"""

from __future__ import annotations

from cryptography import x509

from shoal.errors import NotAllowed
from shoal.trust.names import Peer, from_uri


def peer_role(certificate: bytes | str) -> Peer:
    """The peer that a certificate (DER, or PEM text) was issued to."""
    uris = _names(_load(certificate)).get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise NotAllowed(f"The certificate names {len(uris)} peers, where one is expected.")
    return from_uri(uris[0])


def _load(certificate: bytes | str) -> x509.Certificate:
    try:
        if isinstance(certificate, str):
            return x509.load_pem_x509_certificate(certificate.encode())
        return x509.load_der_x509_certificate(certificate)
    except ValueError as error:
        raise NotAllowed("What was presented is not a certificate.") from error


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise NotAllowed("The certificate names no peer.") from error

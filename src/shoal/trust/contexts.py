"""TLS for both ends of a connection: version 1.3, the cluster's CA alone, names not addresses.

    listener        the head's HTTPS: a certificate is required, or left to the app to require
    dialer          whoever has an identity: the server, a joined worker
    joining_dialer  a worker that has none yet: it verifies the head, and shows a secret inside

Whoever dials gives `host_name(Role.HEAD, cluster)` as the server's name, whatever the address:

    httpx2.AsyncClient(verify=dialer(identity)).get(url, extensions={"sni_hostname": name})
    asyncio.open_connection(address, port, ssl=dialer(identity), server_hostname=name)

Forgetting it fails: an address is in no certificate.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from shoal.trust.identities import HeadIdentity, Identity, WorkerIdentity


def listener(
    identity: HeadIdentity | WorkerIdentity, *, certificate_required: bool
) -> ssl.SSLContext:
    """A certificate that is shown is always verified; not required means that none may be shown."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity.ca_pem)
    context.verify_mode = ssl.CERT_REQUIRED if certificate_required else ssl.CERT_OPTIONAL
    _present(context, identity)
    return context


def dialer(identity: Identity) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_CLIENT, identity.ca_pem)
    _present(context, identity)
    return context


def joining_dialer(ca_pem: str) -> ssl.SSLContext:
    return _context(ssl.PROTOCOL_TLS_CLIENT, ca_pem)


def _context(protocol: ssl._SSLMethod, ca_pem: str) -> ssl.SSLContext:
    """PROTOCOL_TLS_CLIENT brings CERT_REQUIRED and check_hostname with it."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    context.load_verify_locations(cadata=ca_pem)
    return context


def _present(context: ssl.SSLContext, identity: Identity) -> None:
    with _as_file(identity.certificate_pem + identity.key_pem.text) as path:
        context.load_cert_chain(path)


@contextmanager
def _as_file(pem: str) -> Iterator[str]:
    """The ssl module reads keys from files only; on Linux the file is in memory."""
    if sys.platform == "linux":
        with open(os.memfd_create("identity"), "w") as file:
            file.write(pem)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with TemporaryDirectory() as directory:  # 0700, and gone when the key is loaded
            path = Path(directory, "identity.pem")
            path.write_text(pem)
            yield str(path)

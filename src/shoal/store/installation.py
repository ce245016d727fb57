"""Which installation this record belongs to, and to which key: asked once, at the start."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, insert, select

from shoal.errors import StoreFault
from shoal.store import tables
from shoal.wire.ids import InstallationId

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_READING = select(tables.installation)


def read(tx: Connection, key_fingerprint: str = "") -> InstallationId:
    """Made at the first question. StoreFault if the record was made with another key: certificates
    of running clusters could not be derived from this one."""
    row = tx.execute(_READING).first()
    if row is None:
        made = InstallationId("i-" + "".join(secrets.choice(_ALPHABET) for _ in range(10)))
        tx.execute(insert(tables.installation).values(id=made, key_fingerprint=key_fingerprint))
        return made
    if key_fingerprint and row.key_fingerprint and row.key_fingerprint != key_fingerprint:
        raise StoreFault(
            "The installation key is not the one that this database was made with.",
            hint="Put the right installation.key into the state directory.",
        )
    return InstallationId(row.id)

from __future__ import annotations

import msgspec
from rich.pretty import pretty_repr

from shoal.trust.identities import HeadIdentity
from shoal.trust.secret import Secret


def test_a_secret_is_not_shown_wherever_it_is_printed() -> None:
    identity = HeadIdentity("ca", "certificate", Secret("hunter2"))
    for shown in (repr(identity), f"{identity}", f"{identity.key_pem!s}", pretty_repr(identity)):
        assert "hunter2" not in shown
        assert "Secret(" in shown


def test_a_secret_still_travels() -> None:
    secret = Secret("hunter2")
    assert msgspec.json.decode(msgspec.json.encode(secret), type=Secret) == secret

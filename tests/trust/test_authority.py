from __future__ import annotations

from datetime import datetime, timedelta, timezone
from hashlib import sha256

import msgspec
import pytest
from cryptography import x509
from two_clusters import CLUSTER, CREATED_AT, KEY, OTHER

from shoal.errors import InvalidRequest, NotAllowed
from shoal.trust import authority
from shoal.trust.identities import HeadIdentity, Identity
from shoal.trust.installation_key import InstallationKey
from shoal.trust.names import Peer, Role
from shoal.trust.peers import peer_role
from shoal.wire.ids import ClusterId, UserName

USER = UserName("ada@example.org")


def all_of(key: InstallationKey, cluster: ClusterId) -> list[Identity]:
    return [
        authority.head_identity(key, cluster, CREATED_AT),
        authority.server_identity(key, cluster, CREATED_AT),
        authority.client_identity(key, cluster, CREATED_AT, USER),
    ]


def parts_of(key: InstallationKey, cluster: ClusterId) -> set[str]:
    identities = all_of(key, cluster)
    texts = [
        text for one in identities for text in (one.ca_pem, one.certificate_pem, one.key_pem.text)
    ]
    return {*texts, authority.join_secret(key, cluster).text}


def test_the_same_rows_give_the_same_bytes() -> None:
    assert msgspec.json.encode(all_of(KEY, CLUSTER)) == msgspec.json.encode(all_of(KEY, CLUSTER))


def test_the_bytes_do_not_change_from_release_to_release() -> None:
    """A batch's boot text is made again from its rows: a new version must make the same one."""
    made = msgspec.json.encode([*all_of(KEY, CLUSTER), authority.join_secret(KEY, CLUSTER)])
    assert sha256(made).hexdigest() == (
        "1f0df6e1206139fbf77496d03d0cfa8eaa1c7bbca9d0cb97fde926951b00ec7a"
    )


def test_the_time_zone_of_the_creation_time_changes_nothing() -> None:
    elsewhere = CREATED_AT.astimezone(timezone(timedelta(hours=9)))
    assert authority.ca_pem(KEY, CLUSTER, elsewhere) == authority.ca_pem(KEY, CLUSTER, CREATED_AT)


def test_a_creation_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="time zone"):
        authority.ca_pem(KEY, CLUSTER, datetime(2026, 3, 4))  # noqa: DTZ001


def test_a_cluster_id_that_is_no_host_name_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="cluster id"):
        authority.ca_pem(KEY, ClusterId("c-a.shoal/x"), CREATED_AT)


def test_clusters_and_installations_share_nothing() -> None:
    own = parts_of(KEY, CLUSTER)
    assert own.isdisjoint(parts_of(KEY, OTHER))
    assert own.isdisjoint(parts_of(InstallationKey(b"1" * 32), CLUSTER))


def test_no_two_peers_of_a_cluster_share_a_key_or_a_serial_number() -> None:
    identities = all_of(KEY, CLUSTER)
    pems = [identities[0].ca_pem, *(one.certificate_pem for one in identities)]
    certificates = [x509.load_pem_x509_certificate(pem.encode()) for pem in pems]
    assert len({one.key_pem.text for one in identities}) == len(identities)
    assert len({certificate.serial_number for certificate in certificates}) == len(pems)


def test_a_certificate_says_who_its_holder_is() -> None:
    head, server, client = (peer_role(one.certificate_pem) for one in all_of(KEY, CLUSTER))
    assert head == Peer(Role.HEAD, CLUSTER, "head")
    assert server == Peer(Role.SERVER, CLUSTER, "server")
    assert client == Peer(Role.CLIENT, CLUSTER, USER)


@pytest.mark.parametrize("user", ["ада", "a/b", "shoal://server.c-x.shoal/y", "?#%25 &"])
def test_a_user_name_cannot_pass_for_anything_else(user: str) -> None:
    identity = authority.client_identity(KEY, CLUSTER, CREATED_AT, UserName(user))
    assert peer_role(identity.certificate_pem) == Peer(Role.CLIENT, CLUSTER, user)


def test_a_ca_is_nobody() -> None:
    with pytest.raises(NotAllowed, match="names no peer"):
        peer_role(authority.ca_pem(KEY, CLUSTER, CREATED_AT))


def test_what_is_no_certificate_is_nobody() -> None:
    with pytest.raises(NotAllowed, match="not a certificate"):
        peer_role(b"")


def test_certificates_hold_from_a_day_before_to_ten_years_after(head: HeadIdentity) -> None:
    for pem in (head.ca_pem, head.certificate_pem):
        certificate = x509.load_pem_x509_certificate(pem.encode())
        created_at = CREATED_AT.replace(microsecond=0)
        assert created_at - certificate.not_valid_before_utc == timedelta(days=1)
        assert certificate.not_valid_after_utc - created_at == timedelta(days=3650)


def test_what_travels_in_boot_text_is_small(head: HeadIdentity) -> None:
    """16 KB on AWS, of which a head's boot text also needs its program."""
    assert len(msgspec.json.encode(head)) < 2000

"""Each cloud's metadata service refuses and answers as the real one does."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import msgspec
import pytest

from tests.vms.made import machine
from tests.vms.metadata.azure import AzureMetadata
from tests.vms.metadata.ec2 import Ec2Metadata
from tests.vms.metadata.gce import GceMetadata
from tests.vms.metadata.server import Answer, Metadata, Request

AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
GOOGLE = {"metadata-flavor": "Google"}
ROOT = "/computeMetadata/v1/"


def get(service: Metadata, path: str, headers: dict[str, str], **query: str) -> Answer:
    return service.answer(Request("GET", path, query, headers))


def token(service: Ec2Metadata) -> dict[str, str]:
    ttl = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}
    given = service.answer(Request("PUT", "/latest/api/token", {}, ttl))
    return {"x-aws-ec2-metadata-token": given.body.decode()}


def test_google_answers_nobody_without_its_header() -> None:
    assert get(GceMetadata(machine("gcp", 1, "")), f"{ROOT}instance/name", {}).status == 403


def test_google_tells_preemption_to_who_waits_for_it() -> None:
    service = GceMetadata(machine("gcp", 1, "", spot=True))
    told: list[str] = []

    def wait() -> None:
        answer = get(service, f"{ROOT}instance/preempted", GOOGLE, wait_for_change="true")
        told.append(answer.body.decode())

    asking = threading.Thread(target=wait)
    asking.start()
    asking.join(0.05)
    assert asking.is_alive()
    service.warn(AT)
    asking.join(5)
    assert told == ["TRUE"]


def test_google_answers_a_wait_that_is_over_with_what_is_so() -> None:
    service = GceMetadata(machine("gcp", 1, ""))
    path, wait = f"{ROOT}instance/preempted", {"wait_for_change": "true", "timeout_sec": "0"}
    first = get(service, path, GOOGLE, **wait)
    assert first.body == b"FALSE"
    service.warn(AT)
    etag = {"last_etag": first.headers["ETag"]}
    assert get(service, path, GOOGLE, **wait, **etag).body == b"TRUE"


def test_google_lists_and_recurses() -> None:
    service = GceMetadata(machine("gcp", 1, "true"))
    listed = get(service, f"{ROOT}instance/", GOOGLE).body.decode().splitlines()
    assert {"name", "attributes/", "preempted"} <= set(listed)
    whole = msgspec.json.decode(get(service, f"{ROOT}instance/", GOOGLE, recursive="true").body)
    assert whole["machineType"].endswith("/n2-standard-4")
    assert whole["attributes"]["user-data"] == "#!/bin/sh\ntrue\n"


def test_amazon_answers_nobody_without_a_token() -> None:
    service = Ec2Metadata(machine("aws", 1, ""))
    path = "/latest/meta-data/instance-id"
    assert get(service, path, {}).status == 401
    assert get(service, path, {"x-aws-ec2-metadata-token": "guessed"}).status == 401
    assert get(service, path, token(service)).body == b"i-00000000000000001"


def test_amazon_knows_no_spot_action_until_there_is_one() -> None:
    service = Ec2Metadata(machine("aws", 1, "", spot=True))
    path, headers = "/latest/meta-data/spot/instance-action", token(service)
    assert get(service, path, headers).status == 404
    service.warn(AT)
    told = msgspec.json.decode(get(service, path, headers).body)
    assert told == {"action": "terminate", "time": "2030-01-02T03:04:05Z"}


def test_amazon_gives_the_role_s_credentials() -> None:
    service = Ec2Metadata(machine("aws", 1, ""))
    path, headers = "/latest/meta-data/iam/security-credentials/", token(service)
    role = get(service, path, headers).body.decode()
    assert b"AccessKeyId" in get(service, path + role, headers).body


@pytest.mark.parametrize(
    ("headers", "query"), [({}, {"api-version": "1"}), ({"metadata": "true"}, {})]
)
def test_azure_wants_its_header_and_a_version(
    headers: dict[str, str], query: dict[str, str]
) -> None:
    service = AzureMetadata(machine("azure", 1, ""))
    assert get(service, "/metadata/instance", headers, **query).status == 400


def test_azure_tells_a_leaf_as_text_and_a_branch_as_json() -> None:
    service = AzureMetadata(machine("azure", 1, ""))
    asking = {"api-version": "2021-02-01"}

    def told(path: str, **query: str) -> Answer:
        return get(service, f"/metadata/instance/{path}", {"metadata": "true"}, **asking, **query)

    address = "network/interface/0/ipv4/ipAddress/0/privateIpAddress"
    assert told(address, format="text").body == b"10.20.0.1"
    assert told(address).status == 400
    assert told("compute").status == 200
    assert told("compute", format="text").status == 400
    assert told("compute/nothing", format="text").status == 404


def test_azure_schedules_an_eviction() -> None:
    service = AzureMetadata(machine("azure", 1, "", spot=True))
    version = {"api-version": "2020-07-01"}

    def events() -> list[dict[str, object]]:
        answer = get(service, "/metadata/scheduledevents", {"metadata": "true"}, **version)
        told: list[dict[str, object]] = msgspec.json.decode(answer.body)["Events"]
        return told

    assert events() == []
    service.warn(AT)
    (event,) = events()
    assert event["EventType"] == "Preempt"
    assert event["NotBefore"] == "Wed, 02 Jan 2030 03:04:05 GMT"
    assert event["Resources"] == ["quiet-1"]

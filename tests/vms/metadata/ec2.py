"""Amazon EC2's instance metadata service, version 2: no answer without a session token.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html

Left out: version 1, token expiry, signatures of the identity document, IPv6, block devices.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import msgspec

from tests.doubles.machines import Machine
from tests.vms.metadata.server import NOT_FOUND, Answer, Request, text
from tests.vms.metadata.tree import Tree, find, listing

ACCOUNT, ROLE = "123456789012", "shoal-vm"
_VERSIONS = ("2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest")
_TTL = "x-aws-ec2-metadata-token-ttl-seconds"
_TOKEN = "x-aws-ec2-metadata-token"
_CREDENTIALS = {
    "Code": "Success",
    "LastUpdated": "2026-01-01T00:00:00Z",
    "Type": "AWS-HMAC",
    "AccessKeyId": "ASIAMADEUP",
    "SecretAccessKey": "made-up",
    "Token": "made-up",
    "Expiration": "2099-01-01T00:00:00Z",
}


def names(machine: Machine) -> list[str]:
    return [f"ip-{machine.address.replace('.', '-')}.ec2.internal"]


class Ec2Metadata:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._tokens: set[str] = set()
        self._ends_at: datetime | None = None
        self._recommended_at: datetime | None = None

    def warn(self, at: datetime) -> None:
        self._ends_at = at

    def recommend(self, at: datetime) -> None:
        self._recommended_at = at

    def answer(self, request: Request) -> Answer:
        if request.method == "PUT" and request.path == "/latest/api/token":
            return self._new_token(request)
        if request.headers.get(_TOKEN) not in self._tokens:
            return Answer(401)
        version, _, path = request.path.lstrip("/").partition("/")
        if version not in _VERSIONS:
            return NOT_FOUND
        if path == "user-data":
            return Answer(body=self._machine.user_data, content_type="application/octet-stream")
        found = find(self._tree(), path)
        if found is None:
            return NOT_FOUND
        return text(found if isinstance(found, str) else "\n".join(listing(found)))

    def _new_token(self, request: Request) -> Answer:
        if not request.headers.get(_TTL, "").isdigit():
            return Answer(400)
        token = secrets.token_urlsafe(30)
        self._tokens.add(token)
        return text(token, headers={"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": request.headers[_TTL]})

    def _tree(self) -> Tree:
        it = self._machine
        zone, region = it.zone, it.zone[:-1]
        interface: Tree = {
            "device-number": "0",
            "interface-id": "eni-1",
            "local-ipv4s": it.address,
            "mac": it.mac,
            "subnet-id": "subnet-1",
            "subnet-ipv4-cidr-block": "10.0.0.0/8",
            "vpc-id": "vpc-1",
        }
        spot: Tree = {}
        if self._ends_at is not None:
            action = {"action": "terminate", "time": _stamp(self._ends_at)}
            spot = {
                "instance-action": msgspec.json.encode(action).decode(),
                "termination-time": _stamp(self._ends_at),
            }
        events: Tree = {}
        if self._recommended_at is not None:
            said = msgspec.json.encode({"noticeTime": _stamp(self._recommended_at)}).decode()
            events = {"events": {"recommendations": {"rebalance": said}}}
        credentials = msgspec.json.encode(_CREDENTIALS).decode()
        return {
            "meta-data": {
                "ami-id": "ami-12c6146b",
                "ami-launch-index": "0",
                "hostname": names(it)[0],
                "iam": {"security-credentials": {ROLE: credentials}},
                "instance-id": it.id,
                "instance-life-cycle": "spot" if it.spot else "on-demand",
                "instance-type": it.machine_type,
                "local-hostname": names(it)[0],
                "local-ipv4": it.address,
                "mac": it.mac,
                "network": {"interfaces": {"macs": {it.mac: interface}}},
                "placement": {"availability-zone": zone, "region": region},
                "tags": {"instance": dict(it.tags)},
                **({"spot": spot} if spot else {}),
                **events,
            },
            "dynamic": {"instance-identity": {"document": self._document(region)}},
        }

    def _document(self, region: str) -> str:
        it = self._machine
        return msgspec.json.encode(
            {
                "accountId": ACCOUNT,
                "architecture": it.arch,
                "availabilityZone": it.zone,
                "imageId": "ami-12c6146b",
                "instanceId": it.id,
                "instanceType": it.machine_type,
                "privateIp": it.address,
                "region": region,
                "version": "2017-09-30",
            }
        ).decode()


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

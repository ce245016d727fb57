"""The front: a WSGI application before moto's, for what moto lacks."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from moto.core.serialize import EC2Serializer, QuerySerializer
from moto.core.utils import get_service_model
from moto.ec2.models import ec2_backends

from tests.doubles.aws import fleets
from tests.doubles.aws.knobs import Knobs
from tests.doubles.gate import Gate

ACCOUNT = "123456789012"  # moto's
_JSON = ("ssm", "servicequotas", "pricing")
_READS = ("Describe", "Get", "List")
_PARAMETER = re.compile(r"/aws/service/canonical/ubuntu/server/24\.04/.*/(amd64|arm64)/.*")
_MODEL = get_service_model("ec2")

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], Any]
Wsgi = Callable[[Environ, Start], Iterable[bytes]]
Answer = tuple[int, bytes]


class Front:
    """`changed` is told the region after each change: instances may have come or gone."""

    def __init__(self, behind: Wsgi, knobs: Knobs) -> None:
        self.knobs = knobs
        self.gate = Gate()
        self.calls: Counter[str] = Counter()
        self.bytes = 0
        self.changed: Callable[[str], None] = lambda _: None
        self.images: dict[tuple[str, str], str] = {}  # (region, "amd64") → its id
        self._behind = behind
        self._answers: dict[tuple[str, str, str], tuple[bytes, Answer]] = {}  # of client tokens
        self._lock = threading.RLock()  # a double does one thing at a time

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        service, region = _scope(environ.get("HTTP_AUTHORIZATION", ""))
        call = f"{service} {region} {body[:40].decode(errors='replace')}"
        with self._lock:
            self.bytes += len(body)
            if self.gate.stops(f"before {call}"):
                status, content = _hang_up(environ)
            elif service == "ssm":
                status, content = self._ssm(environ, body, region)
            elif service == "pricing":
                status, content = self._products(body)
            elif service == "servicequotas":
                status, content = self._quota(body)
            elif service == "iam" and b"Action=SimulatePrincipalPolicy" in body:
                status, content = self._simulated(body)
            elif service != "ec2":
                status, content = self._moto(environ)
            else:
                asked = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
                status, content = self._ec2(environ, body, asked, region)
            self.bytes += len(content)
            if self.gate.stops(f"after {call}"):
                status, content = _hang_up(environ)
        kind = "application/x-amz-json-1.1" if service in _JSON else "text/xml"
        head = [("Content-Type", kind), ("Content-Length", str(len(content)))]
        start(f"{status} -", head)
        return [content]

    def _ec2(self, environ: Environ, body: bytes, asked: dict[str, str], region: str) -> Answer:
        action = asked["Action"]
        self.calls[action] += 1
        knobs, change = self.knobs, not action.startswith(_READS)
        lossy = change and knobs.lossy in ("", action)
        if knobs.throttled:
            knobs.throttled -= 1
            return _error(503, "RequestLimitExceeded", "Request limit exceeded.")
        if lossy and knobs.lost_requests:
            knobs.lost_requests -= 1
            return _hang_up(environ)
        answer = self._once(environ, body, asked, region)
        if change:
            self.changed(region)
        if lossy and knobs.lost_answers:
            knobs.lost_answers -= 1
            return _hang_up(environ)
        return answer

    def _once(self, environ: Environ, body: bytes, asked: dict[str, str], region: str) -> Answer:
        """A client token that came before: its answer, if it is the same request."""
        token = asked.get("ClientToken")
        if token is None or asked["Action"] == "CreateLaunchTemplate":  # botocore's own, random
            return self._answer(environ, asked, region)
        key = region, asked["Action"], token
        if key not in self._answers:
            self._answers[key] = body, self._answer(environ, asked, region)
        before, answer = self._answers[key]
        if before != body:
            said = "The request differs from the one with this client token."
            return _error(400, "IdempotentParameterMismatch", said)
        return answer

    def _answer(self, environ: Environ, asked: dict[str, str], region: str) -> Answer:
        match asked["Action"]:
            case "CreateFleet":
                backend = ec2_backends[ACCOUNT][region]
                try:
                    made = fleets.create(backend, _nested(asked), self.knobs)
                except fleets.Refusal as refusal:
                    return _error(400, refusal.code, str(refusal))
                return _xml("CreateFleet", made)
            case "DescribeRegions":
                told = [
                    {"RegionName": it, "OptInStatus": "opt-in-not-required"}
                    for it in self.knobs.regions
                ]
                return _xml("DescribeRegions", {"Regions": told})
            case "GetSpotPlacementScores":
                return _xml("GetSpotPlacementScores", {"SpotPlacementScores": self._scores(region)})
            case _:
                return self._moto(environ)

    def _scores(self, region: str) -> list[dict[str, Any]]:
        """Amazon names zones by ids here ("use1-az6")."""
        zones = ec2_backends[ACCOUNT][region].describe_availability_zones()
        return [
            {
                "Region": region,
                "AvailabilityZoneId": it.zone_id,
                "Score": self.knobs.scores[it.name],
            }
            for it in zones
            if it.name in self.knobs.scores
        ]

    def _ssm(self, environ: Environ, body: bytes, region: str) -> Answer:
        asked = json.loads(body or b"{}")
        found = _PARAMETER.fullmatch(str(asked.get("Name", "")))
        self.calls[environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]] += 1
        if found is None:
            return self._moto(environ)
        image = self.images[region, found[1]]
        told = {"Name": asked["Name"], "Type": "String", "Value": image, "Version": 1}
        return 200, json.dumps({"Parameter": told}).encode()

    def _products(self, body: bytes) -> Answer:
        """GetProducts, one a page: of the service, with the attributes that are asked for."""
        asked = json.loads(body)
        self.calls["GetProducts"] += 1
        wanted = {it["Field"]: it["Value"] for it in asked["Filters"]}
        found = [
            it
            for it in self.knobs.products
            if it["serviceCode"] == asked["ServiceCode"]
            and wanted.items() <= _attributes(it["product"]).items()
        ]
        begin = int(asked.get("NextToken", "0"))
        told: dict[str, Any] = {"FormatVersion": "aws_v1"}
        told["PriceList"] = [json.dumps(it) for it in found[begin : begin + 1]]
        if begin + 1 < len(found):
            told["NextToken"] = str(begin + 1)
        return 200, json.dumps(told).encode()

    def _quota(self, body: bytes) -> Answer:
        asked = json.loads(body)
        told = {"QuotaCode": asked["QuotaCode"], "Value": self.knobs.vcpu_limit}
        return 200, json.dumps({"Quota": told}).encode()

    def _simulated(self, body: bytes) -> Answer:
        asked = urllib.parse.parse_qsl(body.decode())
        actions = [value for key, value in asked if key.startswith("ActionNames.")]
        model = get_service_model("iam").operation_model("SimulatePrincipalPolicy")
        told = {value for key, value in asked if key.endswith(".ContextKeyName")}
        lacks = self.knobs.not_granted
        if "aws:ResourceTag/shoal-installation" not in told:  # on which ending depends
            lacks |= {"ec2:TerminateInstances"}
        results = [
            {"EvalActionName": it, "EvalDecision": "implicitDeny" if it in lacks else "allowed"}
            for it in actions
        ]
        made = QuerySerializer(operation_model=model).serialize({"EvaluationResults": results})
        content = made["body"]
        return 200, content.encode() if isinstance(content, str) else content

    def _moto(self, environ: Environ) -> Answer:
        status: list[int] = []

        def start(line: str, headers: list[tuple[str, str]], *_: object) -> None:
            status.append(int(line.split()[0]))

        content = b"".join(self._behind(environ, start))
        return status[0], content


def _attributes(product: Mapping[str, Any]) -> dict[str, str]:
    family = {"productFamily": product["productFamily"]} if "productFamily" in product else {}
    return {**product["attributes"], **family}


def _scope(authorization: str) -> tuple[str, str]:
    """Service and region that a request is signed for."""
    found = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", authorization)
    return (found[2], found[1]) if found else ("", "")


def _nested(asked: Mapping[str, str]) -> Any:
    """`{"A.1.B": "x"}` as `{"A": [{"B": "x"}]}`, by Amazon's model of CreateFleet."""
    model = _MODEL.operation_model(asked["Action"]).input_shape

    def read(shape: Any, prefix: str) -> Any:
        match shape.type_name:
            case "structure":
                members = {
                    name: read(it, f"{prefix}{_query_name(name, it)}.")
                    for name, it in shape.members.items()
                }
                return {name: it for name, it in members.items() if it not in (None, {}, [])}
            case "list":
                found: list[Any] = []
                while (it := read(shape.member, f"{prefix}{len(found) + 1}.")) not in (None, {}):
                    found.append(it)
                return found
            case _:
                return asked.get(prefix.rstrip("."))

    return read(model, "")


def _query_name(name: str, shape: Any) -> str:
    told = shape.serialization
    at = told.get("queryName") or told.get("name") or name
    return str(at[0].upper() + at[1:])


def _xml(action: str, answer: Mapping[str, Any]) -> Answer:
    made = EC2Serializer(operation_model=_MODEL.operation_model(action)).serialize(answer)
    content = made["body"]
    return int(made["status_code"]), content.encode() if isinstance(content, str) else content


def _error(status: int, code: str, said: str) -> Answer:
    content = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(said)}</Message></Error>"
        "</Errors><RequestID>of-the-double</RequestID></Response>"
    )
    return status, content.encode()


def _hang_up(environ: Environ) -> Answer:
    with contextlib.suppress(OSError):  # the other side was quicker
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return 503, b""

"""A real server exports to a collector that takes only what OpenTelemetry's own schema allows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shoal.wire.requests import Watch
from shoal.wire.telemetry import Chunk, CodeFrame, Computation, TaskException, WatchedReport
from tests.server.test_full_disk import server

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

_SCHEMAS = {
    "/v1/logs": ("logs", "ExportLogsServiceRequest"),
    "/v1/traces": ("trace", "ExportTraceServiceRequest"),
}


class Collector(ThreadingHTTPServer):
    """Listens, and refuses with 400 what the protocol's schema does not know."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.taken: list[tuple[str, Any]] = []
        self.refused: list[str] = []
        self.something = threading.Condition()

    def wait_for(self, path: str) -> list[Any]:
        with self.something:
            assert self.something.wait_for(
                lambda: self.refused or any(it[0] == path for it in self.taken), timeout=120
            )
        assert self.refused == []
        return [told for where, told in self.taken if where == path]


class Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        problem = _wrong(self.path, self.headers["Content-Type"], content)
        with self.server.something:
            if problem:
                self.server.refused.append(problem)
            else:
                self.server.taken.append((self.path, json.loads(content)))
            self.server.something.notify_all()
        self.send_response(400 if problem else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _wrong(path: str, media_type: str, content: bytes) -> str:
    kind, name = _SCHEMAS[path]
    place = f"opentelemetry.proto.collector.{kind}.v1.{kind}_service_pb2"
    schema = pytest.importorskip(place)
    json_format = pytest.importorskip("google.protobuf.json_format")
    if media_type != "application/json":
        return media_type
    try:
        json_format.Parse(content, getattr(schema, name)())
    except json_format.ParseError as error:
        return str(error)
    return ""


@pytest.fixture
def collector() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    with Collector() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_the_schema_refuses_what_is_not_of_it() -> None:
    pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    assert _wrong("/v1/traces", "application/json", b'{"resourceSpans": [{"nonsense": 1}]}')
    assert not _wrong("/v1/traces", "application/json", b'{"resourceSpans": []}')


def test_a_server_with_an_endpoint_exports_events_spans_and_exceptions(
    tmp_path: Path, collector: Collector
) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    endpoint = f"http://127.0.0.1:{collector.server_address[1]}"
    with server(state, "--otlp-endpoint", endpoint) as client:
        ask(client, "/v1/watched", Watch("before", "Scheduler-1"))
        collector_began(client)
        made = ask(client, "/v1/watched", Watch("mine", "Scheduler-2"))
        ask(client, f"/v1/watched/{made['id']}/report", a_report())
        [traces, *_] = collector.wait_for("/v1/traces")
        logs = collector.wait_for("/v1/logs")
    [span] = traces["resourceSpans"][0]["scopeSpans"][0]["spans"]
    told = {it["key"]: it["value"]["stringValue"] for it in span["attributes"]}
    assert (told["shoal.workspace"], told["shoal.cluster"]) == ("default", made["id"])
    assert span["events"][0]["name"] == "exception"
    assert len(span["traceId"]) == 32
    bytes.fromhex(span["traceId"] + span["spanId"])
    assert "Scheduler-2" in json.dumps(logs)


def collector_began(client: Any) -> None:
    """The exporter's first pass notes where it begins."""
    while "export telemetry" not in client.get("/metrics").text:
        time.sleep(0.1)


def ask(client: Any, path: str, body: msgspec.Struct) -> Any:
    answer = client.post(path, content=msgspec.json.encode(body))
    assert answer.status_code == 200, answer.text
    return answer.json()


def a_report() -> WatchedReport:
    now = datetime.now(UTC)
    began = now - timedelta(seconds=9)
    code = (CodeFrame("etl.py", 3),)
    raised = TaskException("e", "k", began, now, 1, "KeyError", "x", "…", "f-1", "f", "w")
    items = [Computation("k", began, now, code, tasks=3, erred=1), raised]
    chunks = tuple(Chunk(seq, it) for seq, it in enumerate(items, 1))
    return WatchedReport(began, "tls://h:1", chunks=chunks)

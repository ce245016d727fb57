"""The double as an HTTP server on loopback, in a thread."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse

from google.auth.credentials import AnonymousCredentials

from shoal.wire.accounts import GcpAccount
from tests.doubles.gate import Gate
from tests.doubles.gcp import discovery
from tests.doubles.gcp.compute import Compute, Problem


class GcpDouble:
    """`with GcpDouble(Compute()) as double:` – its account, and credentials for it."""

    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.gate = Gate()
        self.sent = 0  # bytes of answers
        self.faults: list[str] = []  # what Google's own schema has against us
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.double = self
        endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self.account = GcpAccount("shoal-test", "us-east1", endpoint=endpoint)

    def __enter__(self) -> GcpDouble:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    double: GcpDouble


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _answer(self) -> None:
        double = self.server.double
        url = urllib.parse.urlsplit(self.path)
        query = {k: v[-1] for k, v in urllib.parse.parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        read = self.rfile.read(length)
        body = json.loads(read or b"{}") if url.path != "/token" else {}
        if double.gate.stops(f"before {self.command} {url.path}"):
            self._hang_up()
            return
        if url.path == "/token":  # of a login: nobody is asked who he is here
            self._say(200, {"access_token": "of-the-double", "expires_in": 3600})
            return
        found = discovery.find(self.command, url.path)
        if found is None:
            self._say(404, _error(404, "notFound", f"no such method: {url.path}"))
            return
        method, path = found
        if faults := discovery.faults_of_request(method, path, query, body):
            double.faults += faults
            self._say(400, _error(400, "invalid", f"Invalid value: {faults}"))
            return
        if (barrier := double.compute.knobs.together) and method.id.endswith(".bulkInsert"):
            barrier.wait(30)
        try:
            answer = double.compute.answer(method.id, path, query, body)
        except Problem as problem:
            self._say(problem.status, _error(problem.status, problem.reason, str(problem)))
            return
        double.faults += discovery.faults_of_answer(method, answer)
        knobs = double.compute.knobs
        if self.command == "POST" and knobs.lost_answers:
            knobs.lost_answers -= 1
            self._hang_up()
            return
        self._say(200, answer)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _say(self, status: int, answer: object) -> None:
        if self.server.double.gate.stops(f"after {self.command} {self.path}"):
            self._hang_up()
            return
        content = json.dumps(answer).encode()
        self.server.double.sent += len(content)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _error(status: int, reason: str, message: str) -> object:
    told = {"message": message, "domain": "global", "reason": reason}
    return {"error": {"code": status, "message": message, "errors": [told]}}

"""Stands for `python -I -m shoal.server --embedded`: claims its place, announces, serves, ends.

Run by embedded.py as the interpreter of Shoal's own environment, so it only uses the standard
library and what the tests have. FAKE_SERVER in the environment says how it behaves.
"""

from __future__ import annotations

import http.server
import json
import os
import sys
import threading
from pathlib import Path

import filelock

VERSION = os.environ.get("FAKE_SERVER_VERSION", "0.1.0")
INFO = {
    "version": VERSION,
    "installation": "i-aaaaaaaaaa",
    "database": "sqlite",
    "embedded": True,
    "clusters": 0,
    "pid": os.getpid(),
    "started_at": "2026-01-02T03:04:05Z",
    "user": "ada",
    "workspace": "default",
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(INFO)

    def do_POST(self) -> None:
        self._answer({})
        threading.Thread(target=self.server.shutdown).start()

    def log_message(self, *arguments: object) -> None:
        pass

    def _answer(self, value: object) -> None:
        right = self.headers["authorization"] == "Bearer secret"
        body = json.dumps(value if right else {}).encode()
        self.send_response(200 if right else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(state: Path) -> None:
    with (state / "starts").open("a") as starts:
        print(os.getpid(), os.getpgid(0), os.environ.get("DASK_SHOAL__TOKEN"), file=starts)
    if os.environ.get("FAKE_SERVER") == "dies":
        sys.exit("the database is from the future")
    with filelock.FileLock(state / "server.lock", blocking=False):
        serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        (state / "token").write_text("secret")
        told = {
            "url": f"http://127.0.0.1:{serving.server_port}",
            "pid": os.getpid(),
            "version": VERSION,
            "token_file": str(state / "token"),
        }
        (state / "server.new").write_text(json.dumps(told))
        (state / "server.new").replace(state / "server.json")
        serving.serve_forever()
        (state / "server.json").unlink()
        serving.server_close()


if __name__ == "__main__":
    main(Path(sys.argv[sys.argv.index("--state-dir") + 1]))

"""Nothing listens unauthenticated, and a token opens its own workspace alone."""

from __future__ import annotations

import json
import socket
import ssl

import httpx2
import psutil
import pytest

from tests.e2e.session import Session

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

UP = """
    import shoal, sys
    if __name__ == "__main__":
        with shoal.Cluster("guarded", n_workers=1, worker_cpu=1) as cluster:
            with cluster.get_client() as client:
                client.wait_for_workers(1)
                print("UP", flush=True)
                import time
                time.sleep(20)
"""


def listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    return {
        (it.laddr.ip, it.laddr.port)
        for process in processes
        for it in process.net_connections("tcp")
        if it.status == psutil.CONN_LISTEN
    }


def test_every_port_of_a_running_cluster_turns_a_stranger_away(session: Session) -> None:
    script = session.start(UP)
    script.says("UP", 150)
    doors = listening(session.processes())
    assert len(doors) >= 3  # the head, the scheduler, the worker
    for door in doors:
        assert speaks_plainly(door) == b"", door
        assert answers_without_certificate(door) == b"", door
    script.kill()
    session.shoal("cluster", "stop", "guarded")


def speaks_plainly(door: tuple[str, int]) -> bytes:
    with socket.create_connection(door, timeout=5) as line:
        line.settimeout(5)
        try:
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return _application_data(line.recv(4096))
        except (ConnectionError, TimeoutError):
            return b""


def _application_data(answer: bytes) -> bytes:
    """TLS alerts (record type 21) are a way of hanging up."""
    return b"" if answer[:1] == b"\x15" else answer


def answers_without_certificate(door: tuple[str, int]) -> bytes:
    """What can be had over TLS without a certificate; a 401 or 403 is nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(door, timeout=5) as line,
            context.wrap_socket(line) as secure,
        ):
            secure.sendall(b"GET /v1/report HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = secure.recv(65536)
    except (OSError, TimeoutError):
        return b""
    return b"" if b" 401 " in answer[:20] or b" 403 " in answer[:20] else answer


def test_the_server_answers_nobody_without_a_token(session: Session) -> None:
    session.shoal("server", "start")
    url = json.loads((session.state / "server.json").read_text())["url"]
    for path in ("/v1/server", "/v1/clusters", "/v1/events", "/v1/openapi.json", "/v1/changes"):
        answer = httpx2.get(f"{url}{path}", trust_env=False)
        told = answer.status_code == 401 or b"not-logged-in" in answer.content
        assert told, (path, answer.text)


def test_another_workspaces_token_sees_nothing(session: Session) -> None:
    session.run(
        """
        import shoal
        if __name__ == "__main__":
            with shoal.Cluster("mine", n_workers=1, worker_cpu=1):
                pass
        """
    )
    made = session.shoal("token", "create", "eve", "--workspace", "other", "--json")
    secret = json.loads(made.stdout)["secret"]
    url = json.loads((session.state / "server.json").read_text())["url"]
    eve = httpx2.Client(
        base_url=url, headers={"Authorization": f"Bearer {secret}"}, trust_env=False
    )
    with eve:
        assert eve.get("/v1/clusters?ended=true").json()["clusters"] == []
        assert eve.get("/v1/events").json()["events"] == []
        assert eve.get("/v1/clusters/mine").status_code == 404
        assert eve.get("/v1/tokens").status_code == 403

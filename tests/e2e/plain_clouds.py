"""A user's session whose clusters go to a plain cloud: VMs that boot in namespaces (tests/vms).

The server runs as a process of its own, the VMs are its; what is left of them when it has ended is
looked for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec

from shoal.wire.accounts import AwsAccount, AzureAccount, CloudAccount, GcpAccount, cloud_of
from shoal.wire.events import Event, EventKind
from tests.e2e.session import PROJECT, Session, until
from tests.vms import namespaces, sweep

ACCOUNTS: dict[str, CloudAccount] = {
    "gcp": GcpAccount(project="shoal-test", region="us-east1", public_scheduler=False),
    "aws": AwsAccount(account="123456789012", region="us-east-1", public_scheduler=False),
    "azure": AzureAccount(subscription="none", region="eastus", public_scheduler=False),
}


class PlainServer:
    def __init__(self, session: Session, process: subprocess.Popen[bytes], log: Path) -> None:
        self._session = session
        self._process = process
        self._log = log

    def log(self) -> str:
        return self._log.read_text()

    def listens(self) -> bool:
        return "Shoal listens on" in self.log()

    def url(self) -> str:
        return self.log().partition("Shoal listens on ")[2].split()[0]

    def vms(self) -> list[str]:
        """Their network namespaces."""
        mine = sweep.prefix(self._process.pid)
        names = sorted(os.listdir(namespaces.NAMED))
        return [it for it in names if it.startswith(mine) and not it.endswith("fabric")]

    def preempt(self) -> None:
        """The cloud wants the newest worker back: notice now, the end soon after."""
        self._process.send_signal(signal.SIGUSR1)

    def events(self, cluster: str) -> list[Event]:
        listed = self._session.shoal("cluster", "events", cluster, "--json").stdout
        return [msgspec.json.decode(line, type=Event) for line in listed.splitlines()]

    def launched_at(self, cluster: str) -> float:
        """When the cloud had accepted its last VM."""
        accepted = [it for it in self.events(cluster) if it.kind is EventKind.INSTANCE_LAUNCHED]
        return max(it.at for it in accepted).timestamp()


@contextlib.contextmanager
def plain_server(
    session: Session, cloud: str, *, boot: str = "CLOUD_INIT", arch: str = "x86_64"
) -> Iterator[PlainServer]:
    state, log = session.root / f"server-{cloud}-{arch}", session.root / f"{cloud}-{arch}.log"
    command = [sys.executable, "-m", "tests.vms.plain_server", cloud, boot, arch]
    command += ["--state-dir", str(state), "--listen", "127.0.0.1:0"]
    with log.open("wb") as told:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=session.environment, stdout=told, stderr=told
        )
    server = PlainServer(session, process, log)
    try:
        until(lambda: server.listens() or process.poll() is not None, 300, server.log)
        assert server.listens(), server.log()
        token = (state / "token").read_text().strip()
        session.shoal("login", server.url(), "--token", token)
        _register(server.url(), token, ACCOUNTS[cloud])
        yield server
    finally:
        process.terminate()
        try:
            assert process.wait(30) == 0, server.log()
        finally:
            process.kill()
    assert sweep.left(process.pid) == []


def _register(url: str, token: str, account: CloudAccount) -> None:
    request = urllib.request.Request(
        f"{url}/v1/accounts/{cloud_of(account)}",
        data=msgspec.json.encode(account),
        method="PUT",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()

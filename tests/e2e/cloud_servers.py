"""A user's session whose clusters go to a cloud of which VMs boot in namespaces (tests/vms).

The server runs as a process of its own, with the cloud in it; what is left of the VMs when it has
ended is looked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
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


class CloudServer:
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
        lines = [line for line in listed.splitlines() if "kind" in json.loads(line)]
        return [msgspec.json.decode(line, type=Event) for line in lines]  # not Dask's workers

    def settles(self, cluster: str) -> None:
        """Wait until the cloud has nothing of it any more, and nothing of it runs."""

        def settled() -> bool:
            kinds = {it.kind for it in self.events(cluster)}
            return EventKind.CLUSTER_ENDED in kinds and not self.vms()

        until(settled, 60, lambda: f"{self.vms()} {self.events(cluster)[-3:]}")

    def launched_at(self, cluster: str) -> float:
        """When the cloud had accepted its last VM."""
        accepted = [it for it in self.events(cluster) if it.kind is EventKind.INSTANCE_LAUNCHED]
        return max(it.at for it in accepted).timestamp()


def plain_server(
    session: Session, cloud: str, *, boot: str = "CLOUD_INIT", arch: str = "x86_64"
) -> contextlib.AbstractContextManager[CloudServer]:
    """A cloud without an API."""
    program = ["tests.vms.plain_server", cloud, boot, arch]
    return _server(session, f"plain-{cloud}-{arch}", program, lambda _: ACCOUNTS[cloud])


def double_server(session: Session, cloud: str) -> contextlib.AbstractContextManager[CloudServer]:
    """A double of the cloud's API. It fails if anything is left in the double's ledger."""

    def account(log: str) -> CloudAccount:
        told = log.partition("Account: ")[2].splitlines()[0]
        return msgspec.json.decode(told, type=CloudAccount)

    program = ["tests.vms.double_server", cloud, "CLOUD_INIT"]
    return _server(session, f"double-{cloud}", program, account)


@contextlib.contextmanager
def _server(
    session: Session, name: str, program: list[str], account: Callable[[str], CloudAccount]
) -> Iterator[CloudServer]:
    # Of its own: a cloud that begins anew gives the numbers of its VMs again.
    state = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=session.root))
    log = session.root / f"{state.name}.log"
    command = [sys.executable, "-m", *program]
    command += ["--state-dir", str(state), "--listen", "127.0.0.1:0"]
    with log.open("wb") as told:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=session.environment, stdout=told, stderr=told
        )
    server = CloudServer(session, process, log)
    try:
        until(lambda: server.listens() or process.poll() is not None, 300, server.log)
        assert server.listens(), server.log()
        token = (state / "token").read_text().strip()
        session.shoal("login", server.url(), "--token", token)
        _register(server.url(), token, account(server.log()))
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

"""A head and workers as real processes on loopback; the test plays the server's part.

No provider, no store: boot documents are made by hand from the trust that the server would use, and
each "VM" is an agent's process with the environment variables that a provider would set.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec
import psutil
from distributed import Client
from distributed.security import Security

from shoal.trust import authority
from shoal.trust.contexts import dialer
from shoal.trust.dask_tls import from_text
from shoal.trust.installation_key import InstallationKey
from shoal.trust.names import Role as Peer
from shoal.trust.names import host_name
from shoal.wire.boot import AGENT_PORT, BootDocument
from shoal.wire.environments import Manifest
from shoal.wire.ids import ClusterId, InstanceId, UserName, instance_id
from shoal.wire.reports import HeadReport, Orders, OrdersTaken, SchedulerReport, VmReport
from shoal.wire.specs import DaskOptions, Role, StopRules
from shoal.wire.telemetry import Item
from shoal.wire.views import LogLine

KEY = InstallationKey(bytes(range(32)))
CLUSTER = ClusterId("c-abcdefghij")
HEAD = instance_id(CLUSTER, 0)
MEMORY_BYTES = 600 * 2**20

_blocks = itertools.count(os.getpid() % 200)


class Cluster:
    """One cluster on its own loopback network, and everything that was reported about it."""

    def __init__(self, directory: Path, manifest: Manifest, environments: Path) -> None:
        self.created_at = datetime.now(UTC)
        self.vms: dict[InstanceId, VmReport] = {}
        self.scheduler = SchedulerReport("")
        self.logs: list[LogLine] = []
        self.telemetry: list[Item] = []
        self.last: HeadReport | None = None
        self.agents: dict[InstanceId, subprocess.Popen[bytes]] = {}
        self.orders = Orders(
            version=1,
            cluster=CLUSTER,
            manifest=manifest,
            dask=DaskOptions(),
            stop_rules=StopRules(),
            minimum=0,
            maximum=9,
            created_at=self.created_at,
            python_hint=sys.executable,
        )
        self._directory = directory
        self.prefix: tuple[str, ...] = ()  # a program that starts the agents
        self.environments: dict[int, Path] = {}  # of VMs that do not share the machine's store
        self._environments = environments
        self._network = f"127.{60 + os.getpid() % 60}.{next(_blocks) % 250}"
        self._cursor = 0

    # -- VMs ---------------------------------------------------------------------------------

    def start(self, number: int, **boot: object) -> subprocess.Popen[bytes]:
        """Number 0 is the head."""
        name = instance_id(CLUSTER, number)
        directory = self.directory(number)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "boot.json").write_bytes(msgspec.json.encode(self._boot(number, **boot)))
        environment = {
            **os.environ,
            "SHOAL_VM_NAME": name,
            "SHOAL_VM_DIR": str(directory),
            "SHOAL_VM_ADDRESS": self.address(number),
            "SHOAL_VM_CPUS": "1",
            "SHOAL_VM_MEMORY_BYTES": str(MEMORY_BYTES),
            "SHOAL_ENVIRONMENTS": str(self.environments.get(number, self._environments)),
            "SHOAL_VM_END": "exit",
        }
        self.agents[name] = subprocess.Popen(
            [*self.prefix, sys.executable, "-I", "-m", "shoal.agent", directory / "boot.json"],
            env=environment,
        )
        return self.agents[name]

    def directory(self, number: int) -> Path:
        return self._directory / f"vm{number}"

    def address(self, number: int) -> str:
        return f"{self._network}.{number + 1}:{AGENT_PORT}"

    def processes(self) -> list[psutil.Process]:
        """All that lives of this cluster: whatever works in its directory."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self._directory) in " ".join([process.cwd(), *process.cmdline()]):
                    found.append(process)
        return found

    def dask_child(self, number: int) -> psutil.Process:
        agent = psutil.Process(self.agents[instance_id(CLUSTER, number)].pid)
        [child] = [it for it in agent.children() if "_process" in " ".join(it.cmdline())]
        return child

    def _boot(self, number: int, **changes: object) -> BootDocument:
        secret = authority.join_secret(KEY, CLUSTER).text
        if number == 0:
            head = authority.head_identity(KEY, CLUSTER, self.created_at)
            document = BootDocument(
                CLUSTER,
                Role.SCHEDULER,
                head.ca_pem,
                secret,
                certificate_pem=head.certificate_pem,
                key_pem=head.key_pem.text,
            )
        else:
            ca_pem = authority.ca_pem(KEY, CLUSTER, self.created_at)
            document = BootDocument(
                CLUSTER, Role.WORKER, ca_pem, secret, head_address=self.address(0)
            )
        return msgspec.structs.replace(document, **changes)

    # -- the server's part -------------------------------------------------------------------

    async def ask(self, **changes: object) -> OrdersTaken:
        """Send the whole asked state, changed; until the head is there to take it."""
        version = self.orders.version + 1
        self.orders = msgspec.structs.replace(self.orders, version=version, **changes)
        body = msgspec.json.encode(self.orders)
        while True:
            try:
                answer = await self.call("PUT", "/v1/orders", content=body)
            except httpx2.TransportError:
                await asyncio.sleep(0.03)
                continue
            return msgspec.json.decode(answer.raise_for_status().content, type=OrdersTaken)

    async def call(self, method: str, path: str, content: bytes | None = None) -> httpx2.Response:
        identity = authority.server_identity(KEY, CLUSTER, self.created_at)
        names = {"sni_hostname": host_name(Peer.HEAD, CLUSTER)}
        async with httpx2.AsyncClient(verify=dialer(identity), timeout=60) as client:
            url = f"https://{self.address(0)}{path}"
            return await client.request(method, url, content=content, extensions=names)

    async def until(self, holds: Callable[[Cluster], object], within_s: float = 30.0) -> None:
        """Take reports until the claim holds."""
        async with asyncio.timeout(within_s):
            while not holds(self):
                await self.take_report()

    async def take_report(self) -> HeadReport:
        answer = await self.call("GET", f"/v1/report?cursor={self._cursor}&wait_s=5")
        report = msgspec.json.decode(answer.raise_for_status().content, type=HeadReport)
        self.last, self._cursor = report, report.cursor
        self.vms |= {it.instance: it for it in report.vms}
        self.scheduler = report.scheduler or self.scheduler
        self.logs += [chunk.line for chunk in report.logs]
        self.telemetry += [chunk.item for chunk in report.telemetry]
        return report

    def stage(self, number: int) -> str:
        report = self.vms.get(instance_id(CLUSTER, number))
        return report.stage.value if report else ""

    def text(self) -> str:
        return "\n".join(f"{it.instance} {it.process} {it.text}" for it in self.logs)

    # -- the user's part ---------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        identity = authority.client_identity(KEY, CLUSTER, self.created_at, UserName("ada"))
        async with Client(
            self.scheduler.address, security=Security(**from_text(identity)), asynchronous=True
        ) as client:
            yield client

    # -- the end -----------------------------------------------------------------------------

    async def gone(self, within_s: float = 10.0) -> None:
        """Until no process of this cluster is left."""
        async with asyncio.timeout(within_s):
            while self.processes():
                for agent in self.agents.values():
                    agent.poll()
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        for agent in self.agents.values():
            if agent.poll() is None:
                agent.send_signal(signal.SIGKILL)
            agent.wait()


def ready(*numbers: int) -> Callable[[Cluster], object]:
    return lambda cluster: all(cluster.stage(number) == "ready" for number in numbers)

"""The network that VMs are in: one namespace with a bridge, DHCP, DNS and the metadata addresses.

    tests --- shoal<pid> 198.18.0.1 | 198.18.0.2 --- fabric --- bridge --- VM
                                                       |
                              169.254.169.254, 168.63.129.16, the package index

The tests' own processes dial VMs by a route for each VM's address. VMs reach each other, the
metadata service, DNS (which knows the VMs and the index, and denies all else) and the package
index. They open no connection to the tests' side, nor anywhere else.

One fabric at a time on a machine, for the routes have no namespace of their own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import filelock

from tests.vms import base, namespaces, sweep
from tests.vms.index_road import IndexRoad, upstreams
from tests.vms.metadata.server import MetadataServer

# Private networks that doubles hand addresses out of: the network, its mask, the router's address.
NETWORKS = (
    ("10.0.0.0", "255.0.0.0", 8, "10.255.255.254"),
    ("172.16.0.0", "255.240.0.0", 12, "172.31.255.254"),
)
METADATA = "169.254.169.254"
METADATA_NAMES = ("metadata.google.internal", "metadata")
WIRE_SERVER = "168.63.129.16"  # Azure's second one
_TESTS_END, _FABRIC_END = "198.18.0.1", "198.18.0.2"
_BRIDGE = "vms"
_RULES = f"""
table inet vms {{
  chain forward {{
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    oifname "{_BRIDGE}" accept
  }}
}}
"""


class Fabric:
    """Made and taken down by `fabric()`."""

    def __init__(self, directory: Path, pid: int) -> None:
        self.directory = directory
        self.namespace = f"{sweep.prefix(pid)}fabric"
        self._link = sweep.link(pid)
        self._prefix = sweep.prefix(pid)
        self._lock = threading.Lock()
        self._leases: dict[str, str] = {}  # address by MAC
        self._names = dict.fromkeys(METADATA_NAMES, METADATA)  # address by name
        self._made = 0

    def build(self) -> None:
        self.directory.mkdir(parents=True)
        namespaces.ip(f"netns add {self.namespace}")
        namespaces.ip(
            "link set lo up",
            f"link add {_BRIDGE} type bridge forward_delay 0",
            *(f"addr add {router}/{bits} dev {_BRIDGE}" for _, _, bits, router in NETWORKS),
            *(f"addr add {it}/32 dev {_BRIDGE}" for it in (METADATA, WIRE_SERVER)),
            f"link set {_BRIDGE} up",
            f"link add fabric type veth peer name {self._link} netns {os.getpid()}",
            f"addr add {_FABRIC_END}/30 dev fabric",
            "link set fabric up",
            within=self.namespace,
        )
        namespaces.ip(f"addr add {_TESTS_END}/30 dev {self._link}", f"link set {self._link} up")
        namespaces.run(namespaces.entering(self.namespace, "nft", "-f", "-"), _RULES)
        with namespaces.inside(self.namespace):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        self._road = self._lead_to_the_index()
        self._write()
        self._dnsmasq = self._start_dnsmasq()
        self.metadata = MetadataServer(namespaces.listener(self.namespace, "0.0.0.0", 80))

    def close(self) -> None:
        self.metadata.close()
        self._road.close()
        os.kill(self._dnsmasq, signal.SIGKILL)

    def attach(self, address: str, mac: str, names: list[str]) -> str:
        """A namespace with one interface, eth0, on the bridge; it has no address yet."""
        with self._lock:
            self._made += 1
            namespace, port = f"{self._prefix}{self._made}", f"vm{self._made}"
            self._leases[mac] = address
            self._names.update(dict.fromkeys(names, address))
            self._write()
        os.kill(self._dnsmasq, signal.SIGHUP)  # it reads its files again
        namespaces.ip(f"netns add {namespace}")
        namespaces.ip(
            f"link add {port} type veth peer name eth0 netns {namespace} address {mac}",
            f"link set {port} master {_BRIDGE} up",
            within=self.namespace,
        )
        namespaces.ip(f"route replace {address}/32 via {_FABRIC_END} dev {self._link}")
        return namespace

    def detach(self, namespace: str, address: str, mac: str) -> None:
        with self._lock:
            self._leases.pop(mac, None)
            self._names = {k: v for k, v in self._names.items() if v != address}
            self._write()
        os.kill(self._dnsmasq, signal.SIGHUP)  # it reads its files again
        with contextlib.suppress(RuntimeError):
            namespaces.ip(f"route del {address}/32 dev {self._link}")
        sweep.remove_namespace(namespace)

    def _lead_to_the_index(self) -> IndexRoad:
        hosts = sorted({it.host for it in upstreams()})
        inside = {host: f"198.19.0.{number}" for number, host in enumerate(hosts, start=1)}
        self._names.update(inside)
        addresses = (f"addr add {it}/32 dev {_BRIDGE}" for it in inside.values())
        namespaces.ip(*addresses, within=self.namespace)
        return IndexRoad(self.namespace, [(it, inside[it.host]) for it in upstreams()])

    def _write(self) -> None:
        leases = [f"{mac},{address},infinite\n" for mac, address in self._leases.items()]
        (self.directory / "leases").write_text("".join(leases))
        names = [f"{address} {name}\n" for name, address in self._names.items()]
        (self.directory / "names").write_text("".join(names))

    def _start_dnsmasq(self) -> int:
        """It goes into the background once it serves; its process id."""
        ranges = []
        for network, mask, _, router in NETWORKS:
            ranges.append(f"--dhcp-range=set:{network},{network},static,{mask}")
            ranges.append(f"--dhcp-option=tag:{network},option:router,{router}")
            ranges.append(f"--dhcp-option=tag:{network},option:dns-server,{router}")
        pid_file = self.directory / "dnsmasq.pid"
        command = namespaces.entering(
            self.namespace,
            "dnsmasq",
            "--conf-file=/dev/null",
            f"--pid-file={pid_file}",
            f"--log-facility={self.directory / 'dnsmasq.log'}",
            "--user=root",
            f"--interface={_BRIDGE}",
            "--except-interface=lo",
            "--bind-dynamic",
            "--no-resolv",
            "--no-hosts",
            "--address=/#/",  # NXDOMAIN at once: DNS without an answer costs cloud-init 40 s
            f"--addn-hosts={self.directory / 'names'}",
            f"--dhcp-hostsfile={self.directory / 'leases'}",
            f"--dhcp-leasefile={self.directory / 'leased'}",
            f"--dhcp-option-force=245,{WIRE_SERVER}",
            *ranges,
        )
        namespaces.run(command)
        return int(pid_file.read_text())


@contextlib.contextmanager
def fabric() -> Iterator[Fabric]:
    """This process's fabric. Nothing of it is left afterwards, also if the process is killed."""
    pid = os.getpid()
    base.cache().mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(base.cache() / "fabric.lock"), _watched(pid):
        sweep.sweep_the_dead()
        made = Fabric(sweep.directory(pid), pid)
        try:
            made.build()
            yield made
            made.close()
        finally:
            sweep.sweep(pid)


@contextlib.contextmanager
def _watched(pid: int) -> Iterator[None]:
    """Somebody who sweeps if this process cannot."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.vms.sweep", str(pid)]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, start_new_session=True
    ):  # leaving closes its input, and waits for it
        yield

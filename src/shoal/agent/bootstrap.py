"""Brings the agent to a bare VM: run by the boot text, with nothing but Python's standard library.

A VM of a cloud starts from the vendor's image, and knows what its boot document says and what the
metadata service calls it. The agent comes as a bundle: wheels, each known by its SHA-256. Whatever
the package index gives is taken from there; the rest comes from the server, by way of the head:

    head     listens where the agent will, for the server alone (mutual TLS), until it has all
    worker   asks the head, which it verifies by the cluster's CA, and shows the join secret

Then the wheels are unpacked into an environment and this process becomes the agent. Whatever goes
wrong, it tries again until the VM has been useless for too long, and then ends the VM.

The text of this file travels in boot texts, compressed: it must stay small, and import nothing.
"""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import os
import platform
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from functools import partial
from io import BufferedIOBase
from typing import Any, TypedDict

PORT = 8788
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TRY_S = 20.0  # for one download
AZURE_ADDRESS = "/metadata/instance/network/interface/0/ipv4/ipAddress/0/privateIpAddress"
METADATA: dict[str, tuple[dict[str, str], str, str]] = {
    "gcp": (
        {"Metadata-Flavor": "Google"},
        "/computeMetadata/v1/instance/name",
        "/computeMetadata/v1/instance/network-interfaces/0/ip",
    ),
    "aws": ({}, "/latest/meta-data/instance-id", "/latest/meta-data/local-ipv4"),
    "azure": (
        {"Metadata": "true"},
        "/metadata/instance/compute/name?api-version=2021-02-01&format=text",
        AZURE_ADDRESS + "?api-version=2021-02-01&format=text",
    ),
}
TOKEN_PATH, TOKEN_LIFE = "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds"


class File(TypedDict):
    """Of wire/bundle.py."""

    filename: str
    sha256: str
    url: str


Boot = dict[str, Any]  # boot.json, of wire/boot.py


def say(text: str) -> None:
    print(f"shoal: {text}", flush=True)


class Place:
    """Where things lie on this VM."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.files = os.path.join(home, "bundle")
        self.agent = os.path.join(home, "agent")
        self.vm = os.path.join(home, "vm")
        os.makedirs(self.files, mode=0o700, exist_ok=True)
        os.makedirs(os.path.join(self.vm, "tmp"), mode=0o700, exist_ok=True)

    def held(self, sha256: str) -> str:
        return os.path.join(self.files, sha256)


class Bundle:
    """The files that are wanted, and those that are here."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.files: list[File] | None = None
        self.list = os.path.join(place.files, "bundle.json")
        if os.path.exists(self.list):  # an agent was here, and did not stay
            with open(self.list) as file:
                self.files = json.load(file)["files"]
        self.lock = threading.Lock()

    def tell(self, files: list[File]) -> None:
        with self.lock:
            self.files = files
            reachable = True  # the index; if it is not, that is found out once
            for it in files:
                if it["url"] and reachable and not self.has(it):
                    reachable = self.download(it["sha256"], it["url"])

    def has(self, file: File) -> bool:
        return os.path.exists(self.place.held(file["sha256"]))

    def lacks(self) -> list[str]:
        return [it["sha256"] for it in self.files or () if not self.has(it)]

    def complete(self) -> bool:
        return self.files is not None and not self.lacks()

    def download(self, sha256: str, url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=TRY_S) as answer:
                return self.keep(sha256, answer)
        except (OSError, http.client.HTTPException) as error:
            say(f"{url}: {error}")
            return False

    def keep(self, sha256: str, stream: BufferedIOBase, length: int | None = None) -> bool:
        """Whether it came, whole."""
        draft = self.place.held(f".{sha256}.{threading.get_ident()}")
        digest = hashlib.sha256()
        with open(draft, "wb") as file:
            while True:
                data = stream.read(1 << 16 if length is None else min(1 << 16, length))
                if not data:
                    break
                length = None if length is None else length - len(data)
                digest.update(data)
                file.write(data)
                if length == 0:
                    break
        if digest.hexdigest() != sha256:
            os.unlink(draft)
            return False
        os.replace(draft, self.place.held(sha256))
        return True


# -- who this VM is -------------------------------------------------------------------------------


def ask_metadata(base: str, path: str, headers: dict[str, str], method: str = "GET") -> str:
    request = urllib.request.Request(base + path, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        return str(answer.read().decode().strip())


def identity(cloud: str, base: str) -> tuple[str, str]:
    """The name that the cloud has for this VM, and its address in its network."""
    headers, name, address = METADATA[cloud]
    if cloud == "aws":
        token = ask_metadata(base, TOKEN_PATH, {TOKEN_LIFE: "300"}, method="PUT")
        headers = {"X-aws-ec2-metadata-token": token}
    return ask_metadata(base, name, headers), ask_metadata(base, address, headers)


# -- the head: what the server sends --------------------------------------------------------------


def listener(boot: Boot, home: str) -> ssl.SSLContext:
    """Only the server is let in: `from_server` looks at who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=boot["ca_pem"])
    pem = os.path.join(home, "head.pem")
    with open(os.open(pem, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(boot["certificate_pem"] + boot["key_pem"])
    context.load_cert_chain(pem)
    os.unlink(pem)
    return context


def from_server(certificate: Any, cluster: str) -> bool:
    wanted = f"shoal://server.{cluster}.shoal/"
    names = (certificate or {}).get("subjectAltName", ())
    return any(kind == "URI" and name.startswith(wanted) for kind, name in names)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, boot: Boot, bundle: Bundle, address: str) -> None:
        super().__init__((address, PORT), Handler)
        self.cluster, self.bundle = boot["cluster"], bundle
        self.socket = listener(boot, bundle.place.home).wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 60
    protocol_version = "HTTP/1.1"
    server: Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # a stranger's handshake
            self.close_connection = True

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if from_server(self.connection.getpeercert(), self.server.cluster):
            return True
        self.send_error(403)
        return False

    def do_GET(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        bundle = self.server.bundle
        if self.path == "/v1/bundle":
            bundle.tell(json.loads(self.rfile.read(length))["files"])
        else:
            bundle.keep(self.path.rpartition("/")[2], self.rfile, length)
        self.answer()

    def answer(self) -> None:
        told = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "lacks": self.server.bundle.lacks(),
            "told": self.server.bundle.files is not None,
        }
        body = json.dumps(told).encode()
        self.send_response(200 if self.path.startswith("/v1/bundle") else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def receive(boot: Boot, bundle: Bundle, address: str, deadline: float) -> None:
    """Serve until the bundle is complete."""
    with Server(boot, bundle, address) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        say(f"waiting for the server on {address}:{PORT}")
        while not bundle.complete():
            if time.monotonic() > deadline:
                raise TimeoutError("the server has not brought the agent")
            time.sleep(0.02)
        time.sleep(0.05)  # the last answer leaves
        server.shutdown()


# -- a worker: what the head has ------------------------------------------------------------------


class Named(http.client.HTTPSConnection):
    """Verifies the name that stands for the head, whatever its address."""

    name = ""
    context: ssl.SSLContext

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self.context.wrap_socket(plain, server_hostname=self.name)


def fetch(boot: Boot, bundle: Bundle, deadline: float) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=boot["ca_pem"])
    host, _, port = boot["head_address"].rpartition(":")
    Named.context = context
    Named.name = f"head.{boot['cluster']}.shoal"

    def get(path: str, take: Callable[[http.client.HTTPResponse], Any]) -> Any:
        head = Named(host.strip("[]"), int(port), timeout=TRY_S)
        try:
            head.request("GET", path, headers={"x-shoal-join": boot["join_secret"]})
            answer = head.getresponse()
            return take(answer) if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            head.close()

    delay = 0.1
    while not bundle.complete():
        if bundle.files is None:
            files = get("/v1/bundle", lambda it: json.loads(it.read())["files"])
            if files is not None:
                bundle.tell(files)
        for sha256 in bundle.lacks():
            get(f"/v1/bundle/{sha256}", partial(bundle.keep, sha256))
        if time.monotonic() > deadline:
            raise TimeoutError("the head has not given the agent")
        if not bundle.complete():
            time.sleep(delay)
            delay = min(delay * 1.3, 1.0)


# -- the environment, and the agent ---------------------------------------------------------------


def unpack(bundle: Bundle) -> str:
    """A virtual environment of this interpreter; its Python."""
    root = bundle.place.agent
    shutil.rmtree(root, ignore_errors=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = os.path.join(root, "lib", version, "site-packages")
    scripts = os.path.join(root, "bin")
    os.makedirs(site)
    os.makedirs(scripts)
    for it in bundle.files or ():
        with zipfile.ZipFile(bundle.place.held(it["sha256"])) as wheel:
            for name in wheel.namelist():
                _, _, rest = name.partition(".data/")
                kind, _, inside = rest.partition("/")
                if not rest:
                    wheel.extract(name, site)
                elif kind in ("purelib", "platlib") and inside:
                    put(wheel, name, os.path.join(site, inside), 0o644)
                elif kind == "scripts" and inside:
                    put(wheel, name, os.path.join(scripts, inside), 0o755)
    with open(os.path.join(root, "pyvenv.cfg"), "w") as file:
        file.write(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
        file.write("include-system-site-packages = false\n")
    python = os.path.join(scripts, "python")
    os.symlink(os.path.realpath(sys.executable), python)
    return python


def put(wheel: zipfile.ZipFile, name: str, path: str, mode: int) -> None:
    if name.endswith("/"):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with wheel.open(name) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)
    os.chmod(path, mode)


def memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def become_agent(
    boot: Boot, boot_file: str, bundle: Bundle, name: str, address: str, base: str
) -> None:
    place = bundle.place
    python = unpack(bundle)
    say(f"{name} starts its agent")
    told = {
        "SHOAL_VM_NAME": name,
        "SHOAL_VM_DIR": place.vm,
        "SHOAL_VM_ADDRESS": f"{address}:{PORT}",
        "SHOAL_VM_CPUS": str(len(os.sched_getaffinity(0))),
        "SHOAL_VM_MEMORY_BYTES": str(memory_bytes()),
        "SHOAL_VM_END": os.environ.get("SHOAL_VM_END", "poweroff"),
        "SHOAL_BUNDLE": place.files,
        "SHOAL_VM_CLOUD": boot["cloud"],
        "SHOAL_VM_METADATA": base,
        "SHOAL_VM_SCRATCH": os.path.join(place.home, "scratch"),
        "TMPDIR": os.path.join(place.vm, "tmp"),
        "HOME": os.environ.get("HOME") or "/root",
        "PATH": f"{os.path.dirname(python)}:{PATH}",
    }
    with open(bundle.list, "w") as file:
        json.dump({"files": bundle.files}, file)
    os.chdir(place.vm)
    os.execve(python, [python, "-I", "-m", "shoal.agent", boot_file], {**os.environ, **told})


def end_vm() -> None:
    if os.environ.get("SHOAL_VM_END", "poweroff") == "poweroff":
        power_off()


def power_off() -> None:
    for command in (["systemctl", "poweroff"], ["poweroff", "-f"], ["kill", "-TERM", "1"]):
        try:
            if subprocess.call(command) == 0:
                return
        except OSError:
            continue


def main(boot_file: str, home: str, base: str = "http://169.254.169.254") -> None:
    with open(boot_file) as file:
        boot = json.load(file)
    if sys.version_info < (3, 11):  # noqa: UP036 – whatever the image has
        say(f"{platform.python_version()} is too old: the image needs Python 3.11 or newer")
        end_vm()
        return
    deadline = time.monotonic() + boot.get("silence_s", 600.0)
    place = Place(home)
    while True:
        try:
            name, address = identity(boot["cloud"], base)
            bundle = Bundle(place)
            if bundle.complete():
                pass
            elif boot["role"] == "scheduler":
                receive(boot, bundle, address, deadline)
            else:
                fetch(boot, bundle, deadline)
            become_agent(boot, boot_file, bundle, name, address, base)
        except Exception as error:  # whatever it is, the VM must not stay for nothing
            say(f"not yet: {type(error).__name__}: {error}")
        if time.monotonic() > deadline:
            say("nobody has use for this VM: it ends")
            end_vm()
            return
        time.sleep(1.0)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Google Compute Engine's metadata server.

Every request carries `Metadata-Flavor: Google`. `?recursive=true` answers JSON with camel-case
names, `?wait_for_change=true` answers when the value changes, which is how preemption is told.
https://cloud.google.com/compute/docs/metadata/querying-metadata

Left out: guest attributes, SSH keys, `alt`, the custom attributes of a project.
"""

from __future__ import annotations

import hashlib
import threading
import time
from datetime import datetime

import msgspec

from tests.doubles.machines import Machine
from tests.vms.metadata.server import NOT_FOUND, Answer, Request, json, text
from tests.vms.metadata.tree import Tree, find, listing

PROJECT, PROJECT_NUMBER = "shoal-test", "123456789012"
_ROOT = "/computeMetadata/v1"
_HEADERS = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
_WAIT_S = 60.0  # where the question says nothing
_TOKEN = {"access_token": "ya29.made-up", "expires_in": 3599, "token_type": "Bearer"}


def names(machine: Machine) -> list[str]:
    """By which other VMs of the network find this one."""
    zonal = f"{machine.name}.{machine.zone}.c.{PROJECT}.internal"
    return [zonal, f"{machine.name}.c.{PROJECT}.internal", machine.name]


class GceMetadata:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._preempted = False
        self._changed = threading.Condition()

    def warn(self, at: datetime) -> None:
        """`at` is told nowhere: the lead is the one that was asked for, or 30 seconds."""
        with self._changed:
            self._preempted = True
            self._changed.notify_all()

    def answer(self, request: Request) -> Answer:
        if request.headers.get("metadata-flavor") != "Google":
            return Answer(403, b"Missing Metadata-Flavor:Google header.")
        if not request.path.startswith(_ROOT):
            return NOT_FOUND
        path = request.path.removeprefix(_ROOT)
        if request.query.get("wait_for_change", "").lower() == "true":
            self._wait(path, request)
        return self._told(path, recursive=request.query.get("recursive", "").lower() == "true")

    def _wait(self, path: str, request: Request) -> None:
        """Until the value is another than the one last seen, or the time is up."""
        seen = request.query.get("last_etag") or _etag(find(self._tree(), path))
        limit_s = float(request.query.get("timeout_sec") or _WAIT_S)
        deadline = time.monotonic() + limit_s
        with self._changed:
            while _etag(find(self._tree(), path)) == seen:
                if not self._changed.wait(max(deadline - time.monotonic(), 0.0)):
                    return

    def _told(self, path: str, *, recursive: bool) -> Answer:
        found = find(self._tree(), path)
        if found is None:
            return NOT_FOUND
        headers = {**_HEADERS, "ETag": _etag(found)}
        if isinstance(found, str):
            is_json = found.startswith("{")
            kind = "application/json" if is_json else "application/text"
            return Answer(body=found.encode(), content_type=kind, headers=headers)
        if recursive:
            return json(
                _camel(found, verbatim=path.rstrip("/").endswith("attributes")), headers=headers
            )
        return text("".join(f"{it}\n" for it in listing(found)), headers=headers)

    def _tree(self) -> Tree:
        it = self._machine
        zone = f"projects/{PROJECT_NUMBER}/zones/{it.zone}"
        spot = "TRUE" if it.spot else "FALSE"
        return {
            "instance": {
                "attributes": {"user-data": it.user_data.decode()},
                "cpu-platform": "Intel Cascade Lake",
                "description": "",
                "disks": {"0": {"device-name": "persistent-disk-0", "mode": "READ_WRITE"}},
                "hostname": names(it)[0],
                "id": str(_number(it.id)),
                "image": "projects/debian-cloud/global/images/debian-12",
                "machine-type": f"projects/{PROJECT_NUMBER}/machineTypes/{it.machine_type}",
                "maintenance-event": "TERMINATE_ON_HOST_MAINTENANCE" if self._preempted else "NONE",
                "name": it.name,
                "network-interfaces": {"0": {"ip": it.address, "mac": it.mac}},
                "preempted": "TRUE" if self._preempted else "FALSE",
                "scheduling": {
                    "automatic-restart": "FALSE",
                    "on-host-maintenance": "TERMINATE",
                    "preemptible": spot,
                },
                "service-accounts": {
                    "default": {
                        "aliases": "default",
                        "email": f"shoal-vm@{PROJECT}.iam.gserviceaccount.com",
                        "scopes": "https://www.googleapis.com/auth/cloud-platform",
                        "token": msgspec.json.encode(_TOKEN).decode(),
                    }
                },
                "tags": "[]",
                "zone": zone,
            },
            "project": {
                "attributes": {},
                "numeric-project-id": PROJECT_NUMBER,
                "project-id": PROJECT,
            },
        }


def _number(id: str) -> int:
    return int(id) if id.isdigit() else int(hashlib.sha256(id.encode()).hexdigest()[:15], 16)


def _etag(value: Tree | str | None) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:16]


def _camel(tree: Tree | str, *, verbatim: bool = False) -> object:
    if isinstance(tree, str):
        return tree
    return {
        key if verbatim else _camel_word(key): _camel(under, verbatim=key == "attributes")
        for key, under in tree.items()
    }


def _camel_word(word: str) -> str:
    first, *rest = word.split("-")
    return first + "".join(it.title() for it in rest)

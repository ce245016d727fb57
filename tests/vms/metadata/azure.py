"""Azure's two services: the Instance Metadata Service, and the WireServer that cloud-init tells
that the VM is ready.

https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service

Left out: attested documents, extensions, certificates, load balancers, old API versions' shapes.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from tests.doubles.machines import Machine
from tests.vms.metadata.server import NOT_FOUND, Answer, Request, json, text

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
_GOAL_STATE = """<?xml version="1.0" encoding="utf-8"?>
<GoalState><Version>2012-11-30</Version><Incarnation>1</Incarnation>
<Container><ContainerId>container</ContainerId><RoleInstanceList><RoleInstance>
<InstanceId>role</InstanceId></RoleInstance></RoleInstanceList></Container></GoalState>"""
_EVENT = "A1B2C3D4-0000-4000-8000-000000000001"
_LIFE = timedelta(hours=24)


def names(machine: Machine) -> list[str]:
    return [machine.name, f"{machine.name}.internal.cloudapp.net"]


class AzureMetadata:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._ends_at: datetime | None = None

    def warn(self, at: datetime) -> None:
        self._ends_at = at

    def answer(self, request: Request) -> Answer:
        if request.path.startswith("/machine"):  # the WireServer
            if request.method == "POST":
                return Answer()
            return Answer(body=_GOAL_STATE.encode(), content_type="text/xml; charset=utf-8")
        if request.headers.get("metadata", "").lower() != "true":
            return Answer(400, b'{"error": "Bad request. Required metadata header not specified"}')
        if "api-version" not in request.query:
            return Answer(400, b'{"error": "Bad request. api-version was not specified"}')
        match request.path.strip("/").split("/"):
            case ["metadata", "instance", *path]:
                return self._instance(path, as_text=request.query.get("format") == "text")
            case ["metadata", "scheduledevents"]:
                return json(self._events())
            case ["metadata", "identity", "oauth2", "token"]:
                return json(_token(request.query.get("resource", "")))
            case _:
                return NOT_FOUND

    def _instance(self, path: list[str], *, as_text: bool) -> Answer:
        """A branch is told as JSON, a leaf as text, and neither as the other."""
        here: object = {"compute": self._compute(), "network": self._network()}
        for part in path:
            if isinstance(here, dict) and part in here:
                here = here[part]
            elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
                here = here[int(part)]
            else:
                return NOT_FOUND
        if isinstance(here, str) != as_text:
            return Answer(400, b'{"error": "Bad request. format must be text for a leaf"}')
        return text(here) if isinstance(here, str) else json(here)

    def _compute(self) -> dict[str, object]:
        it = self._machine
        group = it.tags.get("resource_group", "shoal")
        return {
            "azEnvironment": "AzurePublicCloud",
            "customData": "",
            "location": it.zone.rpartition("-")[0] or it.zone,
            "name": it.name,
            "osProfile": {
                "adminUsername": "azureuser",
                "computerName": it.name,
                "disablePasswordAuthentication": "true",
            },
            "osType": "Linux",
            "priority": "Spot" if it.spot else "Regular",
            "publicKeys": [],
            "resourceGroupName": group,
            "subscriptionId": SUBSCRIPTION,
            "tagsList": [{"name": key, "value": value} for key, value in it.tags.items()],
            "userData": base64.b64encode(it.user_data).decode(),
            "vmId": it.id,
            "vmSize": it.machine_type,
            "zone": it.zone.rpartition("-")[2],
        }

    def _network(self) -> dict[str, object]:
        it = self._machine
        address = {"privateIpAddress": it.address, "publicIpAddress": ""}
        subnet = {"address": "10.0.0.0", "prefix": "8"}
        interface = {
            "ipv4": {"ipAddress": [address], "subnet": [subnet]},
            "ipv6": {"ipAddress": []},
            "macAddress": it.mac.replace(":", "").upper(),
        }
        return {"interface": [interface]}

    def _events(self) -> dict[str, object]:
        if self._ends_at is None:
            return {"DocumentIncarnation": 0, "Events": []}
        event = {
            "EventId": _EVENT,
            "EventStatus": "Scheduled",
            "EventType": "Preempt",
            "NotBefore": self._ends_at.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "Resources": [self._machine.name],
            "ResourceType": "VirtualMachine",
            "Description": "Spot eviction",
            "EventSource": "Platform",
            "DurationInSeconds": -1,
        }
        return {"DocumentIncarnation": 1, "Events": [event]}


def _token(resource: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "access_token": "made-up",
        "expires_in": str(int(_LIFE.total_seconds())),
        "expires_on": str(int((now + _LIFE).timestamp())),
        "not_before": str(int(now.timestamp())),
        "resource": resource,
        "token_type": "Bearer",
    }


def provisioning_media(machine: Machine) -> str:
    """`ovf-env.xml`, which Azure hands a VM on a virtual disc: its name, its administrator and its
    custom data."""
    namespaces = (
        'xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1" '
        'xmlns:ns1="http://schemas.microsoft.com/windowsazure"'
    )
    return (
        f"<ns0:Environment {namespaces}><ns1:ProvisioningSection><ns1:Version>1.0</ns1:Version>"
        "<ns1:LinuxProvisioningConfigurationSet>"
        "<ns1:ConfigurationSetType>LinuxProvisioningConfiguration</ns1:ConfigurationSetType>"
        f"<ns1:HostName>{machine.name}</ns1:HostName><ns1:UserName>azureuser</ns1:UserName>"
        "<ns1:DisableSshPasswordAuthentication>true</ns1:DisableSshPasswordAuthentication>"
        f"<ns1:CustomData>{base64.b64encode(machine.user_data).decode()}</ns1:CustomData>"
        "</ns1:LinuxProvisioningConfigurationSet></ns1:ProvisioningSection>"
        "<ns1:PlatformSettingsSection><ns1:Version>1.0</ns1:Version><ns1:PlatformSettings>"
        "<ns1:ProvisionGuestAgent>false</ns1:ProvisionGuestAgent></ns1:PlatformSettings>"
        "</ns1:PlatformSettingsSection></ns0:Environment>"
    )

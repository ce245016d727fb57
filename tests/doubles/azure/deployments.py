"""Runs template deployments: Azure's check beforehand, its record afterwards, a call a VM between.

The check refuses what can be known (sizes, limits) with nothing recorded; what comes later is told
of each resource in the record's operations. A record stays when its VMs are gone.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import msgspec

from tests.doubles.azure.arm import VM, Arm, Body, Denied, Path, place_of

_EXPRESSION = re.compile(r"\[(parameters|variables)\('(\w+)'\)\]")
_OF_TEMPLATES = ("type", "apiVersion", "name", "dependsOn")
_MOST_RESOURCES, _MOST_BYTES = 800, 4 << 20


class Record(msgspec.Struct):
    name: str
    body: Body
    operations: list[Body]
    over_at: int  # in requests
    state: str
    error: Body | None = None


class Deployments:
    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self.records: dict[tuple[str, str], Record] = {}

    def get(self, group: str, name: str, now: int) -> Body:
        record = self._record(group, name)
        return self._shown(record, now)

    def operations(self, group: str, name: str, now: int) -> list[Body]:
        record = self._record(group, name)
        if now >= record.over_at:
            return record.operations
        return [_running(it) for it in record.operations]

    def put(self, group: str, name: str, body: Body, now: int) -> Body:
        if group not in self._arm.groups:
            raise Denied(404, "ResourceGroupNotFound", f"Resource group {group!r} not found.")
        earlier = self.records.get((group, name))
        if earlier and now < earlier.over_at:
            raise Denied(409, "DeploymentActive", f"{name} is being deployed.")
        resources = _resources(body)
        self._check(resources)
        operations = [self._run(group, it) for it in resources]
        failed = any(it["properties"]["provisioningState"] == "Failed" for it in operations)
        record = Record(
            name,
            body,
            operations,
            now + self._arm.knobs.polls + 1,
            "Failed" if failed else "Succeeded",
            {"code": "DeploymentFailed", "message": "At least one operation failed."}
            if failed
            else None,
        )
        self.records[group, name] = record
        return self._shown(record, now)

    def _check(self, resources: list[Body]) -> None:
        wrong: list[Body] = []
        counted: dict[str, int] = {}
        for it in resources:
            if it["type"].lower() != VM:
                continue
            size = place_of(it)[0]
            try:
                self._arm.check_vm(_plain(it), counted.get(size, 0))
            except Denied as denied:
                wrong.append(denied.body)
                break
            counted[size] = counted.get(size, 0) + 1
        if wrong:
            raise Denied(
                400,
                "InvalidTemplateDeployment",
                "The template deployment is not valid. See inner errors for details.",
                tuple(wrong),
            )

    def _run(self, group: str, resource: Body) -> Body:
        path = Path(group, resource["type"].lower(), resource["name"])
        try:
            self._arm.put(path, _plain(resource))
        except Denied as denied:
            return _operation(path, "Failed", denied)
        return _operation(path, "Succeeded")

    def _record(self, group: str, name: str) -> Record:
        found = self.records.get((group, name))
        if found is None:
            raise Denied(404, "DeploymentNotFound", f"Deployment {name!r} could not be found.")
        return found

    def _shown(self, record: Record, now: int) -> Body:
        over = now >= record.over_at
        properties: Body = {"provisioningState": record.state if over else "Running"}
        if over and record.error:
            properties["error"] = record.error
        return {"name": record.name, "tags": record.body.get("tags", {}), "properties": properties}


def _resources(body: Body) -> list[Body]:
    """With its expressions replaced by what they stand for."""
    template, given = body["properties"]["template"], body["properties"]["parameters"]
    if len(msgspec.json.encode(body)) > _MOST_BYTES:
        raise Denied(413, "RequestContentTooLarge", "The template is larger than 4 MB.")
    if len(template["resources"]) > _MOST_RESOURCES:
        raise Denied(400, "InvalidTemplate", "A template holds 800 resources.")
    missing = set(template["parameters"]) - set(given)
    if missing or set(given) - set(template["parameters"]):
        raise Denied(400, "InvalidTemplate", f"Parameters do not match: {missing}.")
    known = {
        "parameters": {key: it["value"] for key, it in given.items()},
        "variables": _escaped(template.get("variables", {})),
    }
    return [_evaluated(it, known) for it in template["resources"]]


def _evaluated(value: Any, known: dict[str, Body]) -> Any:
    match value:
        case dict():
            return {key: _evaluated(it, known) for key, it in value.items()}
        case list():
            return [_evaluated(it, known) for it in value]
        case str() if value.startswith("[["):
            return value[1:]
        case str() if value.startswith("["):
            found = _EXPRESSION.fullmatch(value)
            if not found or found[2] not in known[found[1]]:
                raise Denied(400, "InvalidTemplate", f"{value} is no expression that is known.")
            return copy.deepcopy(known[found[1]][found[2]])
        case _:
            return value


def _escaped(value: Any) -> Any:
    return _evaluated(value, {"parameters": {}, "variables": {}})


def _plain(resource: Body) -> Body:
    return {key: it for key, it in resource.items() if key not in _OF_TEMPLATES}


def _operation(path: Path, state: str, denied: Denied | None = None) -> Body:
    properties: Body = {
        "provisioningOperation": "Create",
        "provisioningState": state,
        "targetResource": {"id": path.id, "resourceType": path.kind, "resourceName": path.name},
    }
    if denied:
        properties["statusCode"] = "Conflict"
        properties["statusMessage"] = {"status": "Failed", "error": denied.body}
    return {"id": f"{path.id}/operations", "operationId": path.name, "properties": properties}


def _running(operation: Body) -> Body:
    properties = {**operation["properties"], "provisioningState": "Running"}
    properties.pop("statusMessage", None)
    return {**operation, "properties": properties}

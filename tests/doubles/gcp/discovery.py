"""The API as Google describes it: which method a request is, and whether it says what it may."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import googleapiclient

# Where each begins; Compute's paths lack it.
APIS = {"compute.v1": "/compute/v1/", "iam.v1": "/", "cloudbilling.v1": "/"}
APIS["cloudresourcemanager.v1"] = "/"


class Method(NamedTuple):
    id: str  # "instances.delete"
    http: str
    path: re.Pattern[str]
    told: Mapping[str, Any]
    api: str


@functools.cache
def document(api: str) -> Mapping[str, Any]:
    package = Path(googleapiclient.__file__).parent
    text = (package / "discovery_cache" / "documents" / f"{api}.json").read_text()
    read: dict[str, Any] = json.loads(text)
    return read


@functools.cache
def methods() -> tuple[Method, ...]:
    """Those with more fixed parts first."""
    found = [it for api in APIS for it in _methods(api, document(api)["resources"])]
    return tuple(
        sorted(found, key=lambda it: (it.path.pattern.count("(?P"), -len(it.path.pattern)))
    )


def find(http: str, path: str) -> tuple[Method, dict[str, str]] | None:
    for it in methods():
        if it.http == http and (matched := it.path.fullmatch(path)):
            return it, matched.groupdict()
    return None


def faults_of_request(
    method: Method, path: Mapping[str, str], query: Mapping[str, str], body: object
) -> list[str]:
    known = method.told.get("parameters", {})
    faults = [
        f"{name}={value!r} does not match"
        for name, value in path.items()
        if (pattern := known.get(name, {}).get("pattern")) and not re.fullmatch(pattern, value)
    ]
    everywhere = document(method.api)["parameters"]
    faults += [f"unknown parameter {it!r}" for it in query if it not in {**known, **everywhere}]
    if "request" in method.told:
        faults += _faults(method.api, method.told["request"], body, "body")
    return faults


def faults_of_answer(method: Method, body: object) -> list[str]:
    return _faults(method.api, method.told["response"], body, method.id)


def _methods(api: str, resources: Mapping[str, Any]) -> Iterator[Method]:
    for name, resource in resources.items():
        for verb, told in resource.get("methods", {}).items():
            text = told["path"] if api == "compute.v1" else told.get("flatPath", told["path"])
            pattern = re.sub(r"\\\{\\?\+?(\w+)\\\}", r"(?P<\1>[^/:]+)", re.escape(text))
            path = re.compile(APIS[api] + pattern)
            yield Method(f"{name}.{verb}", told["httpMethod"], path, told, api)
        yield from _methods(api, resource.get("resources", {}))


def _faults(api: str, schema: Mapping[str, Any], value: Any, at: str) -> list[str]:
    if "$ref" in schema:
        schema = document(api)["schemas"][schema["$ref"]]
    match schema.get("type"):
        case "object":
            return _faults_of_object(api, schema, value, at)
        case "array":
            if not isinstance(value, list):
                return [f"{at}: not an array"]
            return [
                f
                for n, it in enumerate(value)
                for f in _faults(api, schema["items"], it, f"{at}[{n}]")
            ]
        case "string":
            return _faults_of_text(schema, value, at)
        case "integer":
            return (
                []
                if isinstance(value, int) and not isinstance(value, bool)
                else [f"{at}: not an integer"]
            )
        case "boolean":
            return [] if isinstance(value, bool) else [f"{at}: not a boolean"]
        case _:
            return []


def _faults_of_object(api: str, schema: Mapping[str, Any], value: Any, at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: not an object"]
    properties, more = schema.get("properties", {}), schema.get("additionalProperties")
    faults = []
    for name, it in value.items():
        inner = properties.get(name, more)
        faults += (
            _faults(api, inner, it, f"{at}.{name}") if inner else [f"{at}: unknown name {name!r}"]
        )
    return faults


def _faults_of_text(schema: Mapping[str, Any], value: Any, at: str) -> list[str]:
    if not isinstance(value, str):
        return [f"{at}: not a string"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is none of {schema['enum']}"]
    pattern = schema.get("pattern")
    if pattern and value and not re.fullmatch(pattern, value):
        return [f"{at}: {value!r} does not match {pattern}"]
    if schema.get("format") in ("int64", "uint64") and not re.fullmatch(r"-?\d+", value):
        return [f"{at}: {value!r} is no number"]
    return []

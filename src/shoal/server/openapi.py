"""OpenAPI 3.1, made from the table of endpoints and the structs' own schemas."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from shoal.errors import ShoalError
from shoal.version import VERSION
from shoal.wire import problems
from shoal.wire.endpoints import ENDPOINTS, EVERYWHERE, Endpoint

Json = dict[str, Any]  # a JSON schema or a part of the document


def document() -> Json:
    types = [t for e in ENDPOINTS for t in (e.answer, e.body) if t not in (None, bytes)]
    schemas, components = msgspec.json.schema_components(
        [*types, problems.Problem], ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip([*map(id, types), id(problems.Problem)], schemas, strict=True))
    paths: Json = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(
            endpoint, schema_of
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shoal", "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(endpoint: Endpoint, schema_of: dict[int, Json]) -> Json:
    made: Json = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint)],
        "responses": {str(endpoint.status): _answer(endpoint, schema_of), **_problems(endpoint)},
    }
    if endpoint.body is bytes:
        made["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string"}}},
        }
    elif endpoint.body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[id(endpoint.body)]}},
        }
    return made


def _path_parameters(endpoint: Endpoint) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[Json]:
    if endpoint.query is None:
        return []
    _, components = msgspec.json.schema_components([endpoint.query])
    properties: Json = components[endpoint.query.__name__].get("properties", {})
    return [{"name": name, "in": "query", "schema": it} for name, it in properties.items()]


def _answer(endpoint: Endpoint, schema_of: dict[int, Json]) -> Json:
    media_type = "text/event-stream" if endpoint.stream else "application/json"
    schema = {"type": "string"} if endpoint.stream else schema_of[id(endpoint.answer)]
    return {"description": endpoint.summary, "content": {media_type: {"schema": schema}}}


def _problems(endpoint: Endpoint) -> Json:
    statuses: dict[int, set[str]] = {}
    kinds: list[type[ShoalError]] = [*EVERYWHERE, *endpoint.problems]
    for kind in kinds:
        statuses.setdefault(problems.from_error(kind("")).status, set()).add(kind.code)
    return {
        str(status): {
            "description": ", ".join(sorted(codes)),
            "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, codes in sorted(statuses.items())
    }

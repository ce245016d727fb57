"""OpenTelemetry's wire format, as much of it as is sent: log records and spans, as JSON.

(opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding": 64-bit numbers are text, ids are hex.)
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Text(msgspec.Struct, frozen=True, rename="camel"):
    string_value: str


class Attribute(msgspec.Struct, frozen=True):
    key: str
    value: Text


class Resource(msgspec.Struct, frozen=True):
    attributes: tuple[Attribute, ...]


class Scope(msgspec.Struct, frozen=True):
    name: str = "shoal"


class LogRecord(msgspec.Struct, frozen=True, rename="camel"):
    time_unix_nano: str
    body: Text
    severity_number: int
    severity_text: str
    attributes: tuple[Attribute, ...]


class ScopeLogs(msgspec.Struct, frozen=True, rename="camel"):
    log_records: tuple[LogRecord, ...]
    scope: Scope = Scope()


class ResourceLogs(msgspec.Struct, frozen=True, rename="camel"):
    resource: Resource
    scope_logs: tuple[ScopeLogs, ...]


class Logs(msgspec.Struct, frozen=True, rename="camel"):
    resource_logs: tuple[ResourceLogs, ...]


class Status(msgspec.Struct, frozen=True):
    code: int  # 1: fine, 2: error


class SpanEvent(msgspec.Struct, frozen=True, rename="camel"):
    time_unix_nano: str
    name: str
    attributes: tuple[Attribute, ...]


class Span(msgspec.Struct, frozen=True, rename="camel"):
    trace_id: str  # 32 hex digits
    span_id: str  # 16
    name: str
    start_time_unix_nano: str
    end_time_unix_nano: str
    attributes: tuple[Attribute, ...]
    status: Status
    kind: int = 1  # internal
    events: tuple[SpanEvent, ...] = ()


class ScopeSpans(msgspec.Struct, frozen=True):
    spans: tuple[Span, ...]
    scope: Scope = Scope()


class ResourceSpans(msgspec.Struct, frozen=True, rename="camel"):
    resource: Resource
    scope_spans: tuple[ScopeSpans, ...]


class Traces(msgspec.Struct, frozen=True, rename="camel"):
    resource_spans: tuple[ResourceSpans, ...]


def nanoseconds(at: datetime) -> str:
    return str((at - _EPOCH) // _MICROSECOND * 1000)


def attributes(values: dict[str, str]) -> tuple[Attribute, ...]:
    """Those that say something."""
    return tuple(Attribute(key, Text(value)) for key, value in values.items() if value)

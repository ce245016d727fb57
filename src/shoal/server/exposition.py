"""Numbers in the text format that Prometheus scrapes.

(prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

MEDIA_TYPE = "text/plain; version=0.0.4"


class Value(msgspec.Struct, frozen=True):
    labels: Mapping[str, str]
    value: float
    suffix: str = ""  # of a histogram: "_bucket", "_sum", "_count"


class Family(msgspec.Struct, frozen=True):
    """Values of one name. A counter's name ends in _total; a gauge may go down."""

    name: str
    kind: str  # "gauge", "counter" or "histogram"
    help: str
    values: tuple[Value, ...]


def text(families: Iterable[Family]) -> str:
    return "".join(_lines(it) for it in families)


def _lines(it: Family) -> str:
    head = f"# HELP {it.name} {it.help}\n# TYPE {it.name} {it.kind}\n"
    return head + "".join(
        f"{it.name}{one.suffix}{_labels(one.labels)} {one.value:.16g}\n" for one in it.values
    )


def _labels(labels: Mapping[str, str]) -> str:
    told = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{{{told}}}" if told else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

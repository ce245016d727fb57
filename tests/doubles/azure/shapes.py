"""Holds JSON against the TypedDicts of Azure's SDK: unknown and missing properties, types, enums.

The SDK itself lets unknown properties through, so a misspelt one would only fail in the cloud.
"""

from __future__ import annotations

import enum
import functools
import types
import typing
from typing import Any

import azure.mgmt.compute.models
import azure.mgmt.compute.types
import azure.mgmt.network.models
import azure.mgmt.network.types
import typing_extensions as te

_OPEN = frozenset({"vmSize"})  # the SDK's list of sizes is years old
_MODULES = {"compute": azure.mgmt.compute, "network": azure.mgmt.network}


def faults(kind: str, value: object) -> list[str]:
    """`kind`: "compute.VirtualMachine". Empty: it is well-formed."""
    package, name = kind.split(".")
    return list(_faults(package, getattr(_MODULES[package].types, name), value, "$"))


def _faults(package: str, shape: Any, value: object, path: str) -> typing.Iterator[str]:
    origin = te.get_origin(shape)
    if origin in (te.Required, te.NotRequired):
        yield from _faults(package, te.get_args(shape)[0], value, path)
    elif isinstance(shape, type) and te.is_typeddict(shape):
        yield from _object(package, shape, value, path)
    elif origin is list:
        yield from _list(package, te.get_args(shape)[0], value, path)
    elif origin is dict:
        yield from _map(package, te.get_args(shape)[1], value, path)
    elif origin in (typing.Union, types.UnionType):
        yield from _one_of(package, te.get_args(shape), value, path)
    elif shape in (str, int, bool, float):
        yield from _scalar(shape, value, path)


def _object(package: str, shape: Any, value: object, path: str) -> typing.Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: not an object"
        return
    hints = _hints(package, shape)
    for key, each in value.items():
        if key not in hints:
            yield f"{path}: unknown property {key}"
        elif key not in _OPEN:
            yield from _faults(package, hints[key], each, f"{path}.{key}")
    for key, hint in hints.items():
        if te.get_origin(hint) is te.Required and key not in value:
            yield f"{path}.{key}: missing"


def _list(package: str, shape: Any, value: object, path: str) -> typing.Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: not an array"
        return
    for place, each in enumerate(value):
        yield from _faults(package, shape, each, f"{path}[{place}]")


def _map(package: str, shape: Any, value: object, path: str) -> typing.Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: not an object"
        return
    for key, each in value.items():
        yield from _faults(package, shape, each, f"{path}.{key}")


def _one_of(
    package: str, shapes: tuple[Any, ...], value: object, path: str
) -> typing.Iterator[str]:
    words = [it for it in shapes if isinstance(it, type) and issubclass(it, enum.Enum)]
    if not words:
        yield from min((list(_faults(package, it, value, path)) for it in shapes), key=len)
    elif value not in [it.value for it in words[0]]:
        yield f"{path}: {value!r} is none of {[it.value for it in words[0]]}"


def _scalar(shape: type, value: object, path: str) -> typing.Iterator[str]:
    wanted: tuple[type, ...] = (int, float) if shape is float else (shape,)
    if not isinstance(value, wanted) or (shape is not bool and isinstance(value, bool)):
        yield f"{path}: {value!r} is no {shape.__name__}"


@functools.cache
def _hints(package: str, shape: Any) -> dict[str, Any]:
    module = _MODULES[package]
    names = {**vars(module.models), **vars(module.types), "_models": module.models}
    return te.get_type_hints(shape, globalns=names, include_extras=True)

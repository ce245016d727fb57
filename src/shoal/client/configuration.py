"""Everything that can be set has a dask.config key under `shoal.`, and a keyword wins over it.

The defaults are in shoal.yaml beside this file. Values are handed on as they are found; whether
they make sense is for arguments.py to say, whoever gave them.
"""

from __future__ import annotations

from pathlib import Path

import dask.config

DEFAULTS_FILE = Path(__file__).with_name("shoal.yaml")


def value(name: str) -> object:
    """Of a setting, by its Python name: `n_workers` is `shoal.n-workers`."""
    found: object = dask.config.get(key(name))
    return found


def default(name: str) -> object:
    """As shipped, whatever is configured."""
    return _DEFAULTS[name.replace("_", "-")]


def is_default(name: str) -> bool:
    """Nobody has configured another value."""
    return value(name) == default(name)


def text(name: str) -> str:
    found = value(name)
    return "" if found is None else str(found)


def key(name: str) -> str:
    return f"shoal.{name.replace('_', '-')}"


def names() -> tuple[str, ...]:
    """Of all settings, as in Python."""
    return tuple(name.replace("-", "_") for name in _DEFAULTS)


def _register() -> dict[str, object]:
    [shipped] = dask.config.collect_yaml(paths=[str(DEFAULTS_FILE)])
    dask.config.update_defaults(shipped)
    defaults: dict[str, object] = shipped["shoal"]
    return defaults


_DEFAULTS = _register()

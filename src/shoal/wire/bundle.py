"""What a VM of a cloud needs before it has an agent: files by their hash, and where to have them.

    server --PUT /v1/bundle--> the head's bootstrap   --(becomes)-->  the head's agent
    worker's bootstrap --GET /v1/bundle, /v1/bundle/{sha256}, with the join secret--> the agent

The bootstrap (agent/bootstrap.py) reads this JSON without msgspec.
"""

from __future__ import annotations

import msgspec

JOIN_HEADER = "x-shoal-join"


class BundleFile(msgspec.Struct, frozen=True):
    filename: str  # a wheel's
    sha256: str
    url: str = ""  # empty: only from whoever sent the bundle


class Bundle(msgspec.Struct, frozen=True):
    files: tuple[BundleFile, ...]


class Bare(msgspec.Struct, frozen=True):
    """A VM without an agent: what it runs, and what it lacks of the bundle it was told."""

    python: str  # "3.12.3"
    machine: str  # "x86_64" or "aarch64"
    lacks: tuple[str, ...] = ()  # SHA-256
    told: bool = False  # it knows a bundle

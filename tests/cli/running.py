"""How a run of the command is seen by a test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec


class Ran(msgspec.Struct, frozen=True):
    status: int
    out: str
    err: str


Shoal = Callable[..., Ran]


def in_a_process(
    arguments: Sequence[str], environment: Mapping[str, str], timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """As a user runs it, installed beside this Python."""
    return subprocess.run(
        [Path(sys.executable).with_name("shoal"), *arguments],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_s,
        check=False,
    )

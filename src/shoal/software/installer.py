"""One way to run `uv`, and one way to show what it said when it failed.

uv reads the user's own settings (UV_DEFAULT_INDEX, uv.toml, keyring), which are passed through and
written nowhere.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import uv

_LAST_WORDS = 15  # lines


def attempt(
    arguments: Sequence[str | Path], *, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return run([uv.find_uv_bin(), *arguments], cwd=cwd)


def attempt_telling(
    arguments: Sequence[str | Path], *, cwd: Path, line: Callable[[str], None]
) -> subprocess.CompletedProcess[str]:
    """`attempt`, with each line that uv prints as it goes."""
    with subprocess.Popen(
        [uv.find_uv_bin(), *arguments],
        cwd=cwd,
        env=dict(os.environ, UV_NO_PROGRESS="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stderr is not None
        said = []
        for words in process.stderr:
            said.append(words)
            line(words.rstrip())
    return subprocess.CompletedProcess(process.args, process.returncode, stderr="".join(said))


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def last_words(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-_LAST_WORDS:])

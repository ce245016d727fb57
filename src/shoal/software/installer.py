"""One way to run `uv`, and one way to show what it said when it failed.

uv reads the user's own settings (UV_DEFAULT_INDEX, uv.toml, keyring), which are passed through and
written nowhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import uv

_LAST_WORDS = 15  # lines
_NAMED = re.compile(r"`([A-Za-z0-9][A-Za-z0-9._-]*)(?:==[^`]*| @ [^`]*)`")
_UNASKED = re.compile(
    r"terminal prompts disabled|could not read (?:Username|Password)|Authentication failed"
    r"|Permission denied \(publickey"
)
# uv's words for an index that does not answer, and the system's for a full disk
_PASSING = re.compile(
    r"fail(ed|ure) (to|when) (fetch|download|send)|request failed|dns error|timed? ?out|"
    r"connect(ion)? |\b(429|5\d\d) |os error (11|12|24|28)\b",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"HTTP status client error \((?!408|429)4\d\d\b")  # as uv says it
CREDENTIALS = (
    "git asks for credentials: give it a credential helper (git config credential.helper), or use "
    "an SSH address with a key that is loaded."
)
_HAS_NO = re.compile(r"[Pp]ackage `([A-Za-z0-9._-]+)`")


def attempt(
    arguments: Sequence[str | Path], *, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return run([uv.find_uv_bin(), *arguments], cwd=cwd)


def attempt_telling(
    arguments: Sequence[str | Path], *, cwd: Path | None, line: Callable[[str], None]
) -> subprocess.CompletedProcess[str]:
    """`attempt`, with each line that uv prints as it goes."""
    return telling([uv.find_uv_bin(), *arguments], cwd=cwd, line=line)


def telling(
    command: Sequence[str | Path], *, cwd: Path | None = None, line: Callable[[str], None]
) -> subprocess.CompletedProcess[str]:
    """`run`, with each line of its stderr as it comes."""
    with (
        tempfile.TemporaryFile() as out,
        subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(os.environ, UV_NO_PROGRESS="1"),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stderr is not None
        said = []
        for words in process.stderr:
            said.append(words)
            line(words.rstrip())
        process.wait()
        out.seek(0)
        printed = out.read().decode("utf-8", "replace")
    return subprocess.CompletedProcess(process.args, process.returncode, printed, "".join(said))


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


def credentials_missing(words: str) -> bool:
    """Whether git wanted to ask somebody."""
    return _UNASKED.search(" ".join(words.split())) is not None


def passing(words: str) -> bool:
    """Whether trying again may help."""
    told = " ".join(words.split())
    return _REFUSED.search(told) is None and _PASSING.search(told) is not None


def package_in(words: str) -> str:
    """The package that uv's words are about; empty if they name none."""
    unbroken = " ".join(words.split())  # uv breaks long lines, also within a requirement
    found = _NAMED.search(unbroken) or _HAS_NO.search(unbroken)
    return found[1] if found else ""


def last_words(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-_LAST_WORDS:])

"""Conda packages: locked on the client with hashes, and made into a prefix on the VM.

py-rattler does both. It runs in an environment of its own, made when it is first needed: neither
the session nor the agent has it among its requirements (docs/decisions/0014).
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from shoal.errors import EnvironmentFailed, NotPossible
from shoal.software import builders, disks
from shoal.software.build_log import redacted
from shoal.software.installer import last_words, passing, telling
from shoal.software.targets import Target

RATTLER = "py-rattler==0.28.*"
_STEPS = Path(__file__).with_name("rattler_steps.py")
_SUBDIRS = {
    "x86_64-unknown-linux-gnu": "linux-64",
    "aarch64-unknown-linux-gnu": "linux-aarch64",
    "aarch64-apple-darwin": "osx-arm64",
    "x86_64-apple-darwin": "osx-64",
    "x86_64-pc-windows-msvc": "win-64",
}
# What a solver is told of VMs that are not there yet: images that are older are not started.
_LINUX = {"__unix": "0", "__linux": "5.10", "__glibc": "2.28"}
_VOLATILE = re.compile(r"^ +indexed_timestamp: .*\n?", re.MULTILINE)  # when somebody looked


class Package(msgspec.Struct, frozen=True):
    name: str
    version: str
    url: str


class Locked(msgspec.Struct, frozen=True):
    """`text`: a lock as rattler writes it, with hashes, for one platform."""

    text: str
    packages: tuple[Package, ...]


class Record(msgspec.Struct, frozen=True):
    """Of a file in conda-meta, what says how packages hang together."""

    name: str
    version: str
    depends: tuple[str, ...] = ()
    requested_spec: str | None = None
    requested_specs: tuple[str, ...] = ()
    channel: str = ""
    url: str = ""

    @property
    def asked_for(self) -> bool:
        return bool(self.requested_specs or self.requested_spec)


def read(metadata: Sequence[Path]) -> tuple[Record, ...]:
    return tuple(msgspec.json.decode(it.read_bytes(), type=Record) for it in metadata)


def as_installed(metadata: Sequence[Path], target: Target, tools: Path) -> Locked:
    """The very packages that these files of a prefix's conda-meta tell of."""
    inputs = {"metadata": sorted(map(str, metadata)), "platform": subdir(target)}
    return _locked("lock_installed", inputs, tools)


def solved(specs: Sequence[str], channels: Sequence[str], target: Target, tools: Path) -> Locked:
    """What fits together for another machine. `specs`: as conda reads them."""
    platform = subdir(target)
    inputs = {"specs": specs, "channels": channels, "platform": platform, "virtual": _LINUX}
    return _locked("lock_solved", inputs, tools)


def specs_of(records: Sequence[Record], exactly: Collection[str]) -> list[str]:
    """To solve for another platform: what was asked for here, and what must be as it is here."""
    asked = [it for it in records if it.asked_for or it.name in exactly]
    return [f"{it.name} =={it.version}" for it in asked or records]


def channels_of(records: Sequence[Record]) -> list[str]:
    """Without the platform's directory, in the order of their use."""
    return list(dict.fromkeys(it.url.rsplit("/", 2)[0] for it in records if it.url))


def needed(records: Sequence[Record], names: Collection[str]) -> frozenset[str]:
    """These and what they depend on."""
    known = {it.name: it for it in records}
    wanted, seen = [it for it in names if it in known], set[str]()
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.add(name)
            depends = [it.split()[0] for it in known[name].depends if it.strip()]
            wanted += [it for it in depends if it in known]
    return frozenset(seen)


def install(
    lock: str, target: Target, prefix: Path, store: Path, tell: Callable[[str], None]
) -> None:
    """`prefix` is for good: conda packages are told where they are. `store`: what VMs of one
    machine share. Raises EnvironmentFailed with the name of the package and rattler's words."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "conda.lock")
        file.write_text(lock, encoding="utf-8")
        inputs = {"lock": str(file), "platform": subdir(target), "prefix": str(prefix)}
        inputs["cache"] = str(store / ".conda-packages")
        done = _run("install_locked", inputs, store / ".tools", tell)
    if done.returncode != 0:
        raise failed(done.stderr, tuple(_names_in(lock)))


def failed(output: str, known: Collection[str]) -> EnvironmentFailed:
    """`known`: names of packages, of which the words may tell one."""
    words = redacted(_words(output))
    if disks.full(words):
        return disks.no_room(words)
    named = max((it for it in known if _mentions(words, it)), key=len, default="")
    what = f"The conda package {named}" if named else "The conda environment"
    error = EnvironmentFailed(
        f"{what} could not be installed:\n{words}",
        hint="Can the VM reach the channel that it is from?",
    )
    error.passing = passing(words)
    return error


def subdir(target: Target) -> str:
    """conda's name of the platform."""
    found = _SUBDIRS.get(target.platform)
    if found is None:
        raise NotPossible(
            f"There are no conda packages for {target.platform}.",
            hint="Take workers with x86-64 or ARM processors, or packages from an index.",
        )
    return found


def _locked(step: str, inputs: Mapping[str, object], tools: Path) -> Locked:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "conda.lock")
        done = _run(step, {**inputs, "lock": str(file)}, tools, lambda line: None)
        if done.returncode != 0:
            raise EnvironmentFailed(
                f"The conda packages could not be locked:\n{_words(done.stderr)}",
                hint="Do the channels have them for that platform? Leave one out with "
                "package_sync_ignore.",
            )
        text = _VOLATILE.sub("", file.read_text(encoding="utf-8"))
    return Locked(text, msgspec.json.decode(done.stdout, type=tuple[Package, ...]))


def _run(
    step: str, inputs: Mapping[str, object], tools: Path, tell: Callable[[str], None]
) -> subprocess.CompletedProcess[str]:
    python = builders.environment_with((RATTLER,), tools)
    given = msgspec.json.encode(inputs).decode()
    return telling([python, "-I", _STEPS, step, given], line=tell)


def _words(output: str) -> str:
    """Of a Python traceback its last line, less the name of the exception's class."""
    lines = last_words(output).splitlines() or [""]
    return re.sub(r"^[\w.]+(?:Error|Exception): ", "", lines[-1])


def _names_in(lock: str) -> Iterator[str]:
    for url in set(re.findall(r"^- conda: (\S+)$", lock, re.MULTILINE)):
        yield url.rpartition("/")[2].rsplit("-", 2)[0]


def _mentions(words: str, name: str) -> bool:
    """As a word, or as the beginning of a file's name."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.]|-(?!\d))", words) is not None

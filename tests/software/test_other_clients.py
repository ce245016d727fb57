"""Clients that are no Linux machine: what they run needs none, and what they lock is for Linux.

Their facts (platform, installed files) are values, so a lock is made here as it would be there.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import shoal
from shoal.software import lock as locks
from shoal.software import pylock, targets
from shoal.software.targets import Target
from shoal.wire.environments import WheelFile
from tests.software.made import wheel

SOURCE = Path(shoal.__file__).parent
ON_CLIENTS = ("client", "software", "cli", "plugins", "wire", "trust")
# Modules that other systems lack, and attributes of os (and signal, socket) that they lack.
UNIX_MODULES = {
    "fcntl",
    "pwd",
    "grp",
    "resource",
    "termios",
    "tty",
    "pty",
    "syslog",
    "spwd",
    "crypt",
}
UNIX_NAMES = {
    "os": {"fork", "forkpty", "setsid", "getuid", "geteuid", "getgid", "getpgid", "killpg", "wait"}
    | {"setpgid", "mkfifo", "chown", "lchown", "nice", "sched_getaffinity", "getloadavg", "uname"}
    | {"statvfs", "chroot", "sysconf", "getpriority", "setpriority", "wait4", "posix_spawn"},
    "signal": {"SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGQUIT", "SIGALRM", "alarm"},
    "socket": {"AF_UNIX", "SO_REUSEPORT"},
}
LINUX = Target("3.11.7", "x86_64-unknown-linux-gnu")
ARM = Target("3.11.7", "aarch64-unknown-linux-gnu")
CLIENTS = {
    "macOS": Target("3.11.7", "aarch64-apple-darwin"),
    "Windows": Target("3.11.7", "x86_64-pc-windows-msvc"),
}


def files() -> Iterator[Path]:
    for part in ON_CLIENTS:
        yield from sorted((SOURCE / part).rglob("*.py"))


def unix_only(tree: ast.AST) -> Iterator[str]:
    """What only Unix has, where nobody asks first whether it is there."""
    for node in ast.iter_child_nodes(tree):
        if _asks(node):
            continue
        match node:
            case ast.Import(names=names):
                yield from (it.name for it in names if it.name in UNIX_MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                if module in UNIX_MODULES:
                    yield module
                yield from (f"{module}.{it.name}" for it in names if _unix(module, it.name))
            case ast.Attribute(value=ast.Name(id=module), attr=name) if _unix(module, name):
                yield f"{module}.{name}"
        yield from unix_only(node)


def _asks(node: ast.AST) -> bool:
    match node:
        case ast.If(test=test) | ast.IfExp(test=test):
            words = ast.unparse(test)
            return any(it in words for it in ("platform", "os.name", "hasattr"))
        case ast.Try(handlers=handlers):
            caught = " ".join(ast.unparse(it.type) for it in handlers if it.type is not None)
            return "ImportError" in caught or "AttributeError" in caught
    return False


def _unix(module: str, name: str) -> bool:
    return name in UNIX_NAMES.get(module, ())


@pytest.mark.parametrize("file", list(files()), ids=lambda it: it.relative_to(SOURCE).as_posix())
def test_what_runs_on_clients_needs_no_unix(file: Path) -> None:
    assert list(unix_only(ast.parse(file.read_text(encoding="utf-8")))) == []


def test_what_only_unix_has_would_be_found() -> None:
    program = (
        "import fcntl\nfrom os import fork\nimport os, signal\n"
        "def f():\n    os.getuid()\n    return [signal.SIGKILL]\n"
        "if os.name == 'posix':\n    import pwd\n    os.fork()\n"
        "if f():\n    os.setsid()\n"
    )
    found = list(unix_only(ast.parse(program)))
    assert found == ["fcntl", "os.fork", "os.getuid", "signal.SIGKILL", "os.setsid"]


# -- locks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("target", [LINUX, ARM], ids=lambda it: it.platform.split("-")[0])
@pytest.mark.usefixtures("index")
def test_a_lock_made_there_is_for_the_linux_workers(
    wheels: Path, tmp_path: Path, client: str, target: Target
) -> None:
    processor = target.platform.split("-")[0]
    theirs = {"macOS": "macosx_11_0_arm64", "Windows": "win_amd64"}[client]
    for version, tags in (
        ("1.0", (theirs, "manylinux_2_17_x86_64", "manylinux_2_17_aarch64")),
        ("1.1", (theirs,)),
    ):
        for tag in tags:
            wheel(wheels, "fast", version, f"py3-none-{tag}")
    wheel(wheels, "plain")
    wheel(wheels, "native", "2.0", f"py3-none-{theirs}")
    wheel(wheels, "native", "1.9", f"py3-none-manylinux_2_17_{processor}")
    here = CLIENTS[client]
    wanted = locks.Wanted(
        {"fast": "1.0", "plain": "1.0", "native": "2.0"},
        target,
        closed=targets.like(target, here),
    )
    assert not wanted.closed
    outcome = locks.pinned(wanted, tmp_path / "cache")
    assert [(it.name, it.version, it.instead) for it in outcome.relaxed] == [
        ("native", "2.0", "1.9")
    ]
    found = {it.name: it for it in pylock.parse(outcome.text).packages}
    assert {name: it.version for name, it in found.items()} == {
        "fast": "1.0",
        "plain": "1.0",
        "native": "1.9",
    }
    assert any(processor in url for url in found["fast"].urls)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("index")
def test_what_only_their_system_has_is_left_out_and_told(
    wheels: Path, tmp_path: Path, client: str
) -> None:
    """Like pywin32: uv speaks of its older versions and its newer ones apart."""
    tag = {"macOS": "macosx_11_0_arm64", "Windows": "win_amd64"}[client]
    for version, python in (("301", "cp38-cp38"), ("302", "cp39-cp39"), ("308", "py3-none")):
        wheel(wheels, "pywin32", version, f"{python}-{tag}")
    wheel(wheels, "plain")
    wanted = locks.Wanted({"plain": "1.0", "pywin32": "308"}, LINUX, closed=False)
    outcome = locks.pinned(wanted, tmp_path / "cache")
    assert outcome.missing == ("pywin32",)
    assert [it.name for it in pylock.parse(outcome.text).packages] == ["plain"]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("index")
def test_what_must_match_never_gives_way(wheels: Path, tmp_path: Path, client: str) -> None:
    wheel(wheels, "msgpack", "1.1", "py3-none-macosx_11_0_arm64")
    wheel(wheels, "msgpack", "1.0", "py3-none-manylinux_2_17_x86_64")
    wanted = locks.Wanted({"msgpack": "1.1"}, LINUX, closed=False)
    with pytest.raises(locks.NotToBeHad, match="msgpack"):
        locks.pinned(wanted, tmp_path / "cache")


@pytest.mark.parametrize("client", CLIENTS)
def test_wheels_built_there_go_only_if_they_are_pure(client: str) -> None:
    here = CLIENTS[client]
    tag = {"macOS": "macosx_11_0_arm64", "Windows": "win_amd64"}[client]
    pure, compiled = (
        WheelFile(f"mine-1.0-{tags}.whl", "0" * 64, 1, "mine", "1.0", "editable")
        for tags in ("py3-none-any", f"cp311-cp311-{tag}")
    )
    targets.must_run_on(LINUX, [pure], here)
    with pytest.raises(targets.EnvironmentFailed, match="compiled for this machine"):
        targets.must_run_on(LINUX, [compiled], here)
    targets.must_run_on(here, [compiled], here)


@pytest.mark.long
@pytest.mark.parametrize("target", [LINUX, ARM], ids=lambda it: it.platform.split("-")[0])
def test_dask_and_pandas_are_locked_for_linux_from_the_real_index(
    tmp_path: Path, target: Target
) -> None:
    minor = ".".join(map(str, sys.version_info[:2]))
    target = msgspec.structs.replace(target, python=f"{minor}.0")
    versions = {"numpy": "2.2.0", "pandas": "2.2.3", "msgpack": "1.1.0", "pywin32": "308"}
    outcome = locks.pinned(locks.Wanted(versions, target, closed=False), tmp_path / "cache")
    found = {it.name: it for it in pylock.parse(outcome.text).packages}
    processor = target.platform.split("-")[0]
    for name in ("numpy", "pandas", "msgpack"):
        assert found[name].version == versions[name]
        assert any("manylinux" in url and processor in url for url in found[name].urls)
    assert "pywin32" in outcome.missing  # Windows' own: told, and left out

"""An environment is made once a machine, whole or not at all; each VM has its own prefix."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from shoal.errors import EnvironmentFailed
from shoal.software import realise as realising
from shoal.software.realise import PythonSource, Realised, RealiseProgress, prune, realise
from shoal.software.targets import here
from shoal.wire.environments import Manifest
from tests.software.made import manifest, wheel

BASE = Path(getattr(sys, "_base_executable", sys.executable))


class Machine:
    """Where environments are realised."""

    def __init__(self, directory: Path) -> None:
        self.store, self.wheels = directory / "store", directory / "wheels"
        self.directory = directory
        self.told: list[RealiseProgress] = []

    def manifest(self, *built: Path) -> Manifest:
        return manifest(*built, store=self.wheels)

    def wheel(self, name: str, version: str = "1.0") -> Path:
        return wheel(self.directory / "built", name, version)

    async def realise(self, wanted: Manifest, vm: str = "vm", hint: Path = BASE) -> Realised:
        return await realise(
            wanted,
            wheels=self.wheels,
            prefix=self.directory / vm,
            store=self.store,
            report=self.told.append,
            python_source=PythonSource(hint),
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def imported(python: Path, module: str) -> dict[str, str]:
    program = (
        f"import json, sys, {module} as it; "
        "print(json.dumps({'prefix': sys.prefix, 'file': it.__file__, 'version': it.VERSION}))"
    )
    done = subprocess.run([python, "-I", "-c", program], capture_output=True, check=True)
    read: dict[str, str] = json.loads(done.stdout)
    return read


def test_each_vm_imports_from_its_own_prefix(machine: Machine) -> None:
    wanted = machine.manifest(machine.wheel("one"))
    made = [asyncio.run(machine.realise(wanted, vm)) for vm in ("vm-1", "vm-2")]
    assert [it.reused for it in made] == [False, True]
    for vm, it in zip(("vm-1", "vm-2"), made, strict=True):
        prefix = machine.directory / vm
        found = imported(it.python, "one")
        assert Path(found["prefix"]) == prefix
        assert prefix in Path(found["file"]).parents


def test_what_is_not_in_the_manifest_is_not_in_the_prefix(machine: Machine) -> None:
    made = asyncio.run(machine.realise(machine.manifest(machine.wheel("one"))))
    done = subprocess.run(
        [made.python, "-I", "-c", "import pytest"], capture_output=True, check=False
    )
    assert b"ModuleNotFoundError: No module named 'pytest'" in done.stderr


def test_ten_vms_at_once_make_it_once(machine: Machine) -> None:
    wanted = machine.manifest(machine.wheel("one"))

    async def all_at_once() -> list[Realised]:
        return await asyncio.gather(*(machine.realise(wanted, f"vm-{n}") for n in range(10)))

    made = asyncio.run(all_at_once())
    assert [it.reused for it in made].count(False) == 1
    assert sum(it.phase == "python" for it in machine.told) == 1


def test_a_changed_package_is_replaced_and_the_older_environment_stays(machine: Machine) -> None:
    first = machine.manifest(machine.wheel("one", "1.0"), machine.wheel("two"))
    second = machine.manifest(machine.wheel("one", "2.0"))
    before = asyncio.run(machine.realise(first, "vm-1"))
    after = asyncio.run(machine.realise(second, "vm-2"))
    assert imported(before.python, "one")["version"] == "1.0"
    assert imported(after.python, "one")["version"] == "2.0"
    assert not list((machine.directory / "vm-2").rglob("two.py"))


def test_a_half_made_one_is_never_used(machine: Machine) -> None:
    wanted = machine.manifest(machine.wheel("one"))
    killed = machine.store / ".making-0"  # by an agent that was killed
    (killed / "environment").mkdir(parents=True)
    (machine.store / f".{wanted.id}.lock").touch()
    assert not asyncio.run(machine.realise(wanted)).reused
    os.utime(killed, (0, 0))
    prune(machine.store, keep=frozenset(), older_than=1.0)
    assert not killed.exists()


def test_a_failure_names_the_package_and_leaves_nothing(machine: Machine) -> None:
    broken = machine.directory / "one-1.0-py3-none-any.whl"
    broken.write_bytes(b"no wheel")
    wanted = machine.manifest(broken)
    with pytest.raises(EnvironmentFailed, match="one could not be installed"):
        asyncio.run(machine.realise(wanted))
    assert not [it for it in machine.store.iterdir() if it.is_dir()]
    assert not (machine.directory / "vm").exists()


def test_a_python_that_is_not_there_is_told(machine: Machine) -> None:
    wanted = msgspec.structs.replace(machine.manifest(machine.wheel("one")), python="3.99.1")
    with pytest.raises(EnvironmentFailed, match=r"Python 3\.99\.1 is not to be had"):
        asyncio.run(machine.realise(wanted))
    assert "Python 3.99.1 is downloaded: this machine has no 3.99" in [
        it.detail for it in machine.told
    ]


@pytest.mark.parametrize("exact", [False, True])
def test_another_patch_version_of_python_is_taken_unless_asked_exactly(
    machine: Machine, exact: bool
) -> None:
    other = ".".join([*here().python.split(".")[:2], "99"])
    wanted = msgspec.structs.replace(
        machine.manifest(machine.wheel("one")), python=other, exact_python=exact
    )
    if exact:
        with pytest.raises(EnvironmentFailed, match="package_sync_strict takes no other"):
            asyncio.run(machine.realise(wanted))
        return
    asyncio.run(machine.realise(wanted))
    assert realising.version_of(machine.directory / "vm") not in ("", other)


@pytest.mark.long
def test_an_exact_one_does_not_begin_with_a_clone_of_another_version(machine: Machine) -> None:
    other = ".".join([*here().python.split(".")[:2], "99"])
    loose = msgspec.structs.replace(machine.manifest(machine.wheel("one")), python=other)
    asyncio.run(machine.realise(loose, "vm-1"))
    exact = msgspec.structs.replace(
        machine.manifest(machine.wheel("two")), python=other, exact_python=True
    )
    with pytest.raises(EnvironmentFailed, match="takes no other"):
        asyncio.run(machine.realise(exact, "vm-2"))


def test_a_hint_of_another_version_is_not_used(machine: Machine) -> None:
    wanted = machine.manifest(machine.wheel("one"))
    made = asyncio.run(machine.realise(wanted, hint=Path("/nowhere/python")))
    assert imported(made.python, "one")


def test_an_unused_environment_ends_and_the_prefix_made_of_it_stays(machine: Machine) -> None:
    wanted = machine.manifest(machine.wheel("one"))
    made = asyncio.run(machine.realise(wanted))
    os.utime(machine.store / wanted.id, (0, 0))
    prune(machine.store, keep=frozenset({wanted.id}), older_than=1.0)
    assert (machine.store / wanted.id).exists()
    prune(machine.store, keep=frozenset(), older_than=1.0)
    assert not (machine.store / wanted.id).exists()
    assert imported(made.python, "one")


def test_use_keeps_an_environment(machine: Machine) -> None:
    wanted = machine.manifest(machine.wheel("one"))
    asyncio.run(machine.realise(wanted, "vm-1"))
    os.utime(machine.store / wanted.id, (0, 0))
    asyncio.run(machine.realise(wanted, "vm-2"))
    prune(machine.store, keep=frozenset(), older_than=1.0)
    assert (machine.store / wanted.id).exists()


def compile_all(made: Path) -> None:
    """As the server has it done."""
    subprocess.run(realising.compiling(made), check=True)


def test_all_of_an_environment_gets_byte_code_once_asked(machine: Machine) -> None:
    wanted = machine.manifest(machine.wheel("one"))
    asyncio.run(machine.realise(wanted))
    compile_all(machine.store / wanted.id)
    assert (machine.store / wanted.id / realising.COMPILED).exists()
    made = asyncio.run(machine.realise(wanted, "vm-2"))
    assert list(made.python.parents[1].rglob("one.*.pyc"))


def test_a_clone_made_ahead_is_taken_once_and_is_like_any_other(machine: Machine) -> None:
    wanted = machine.manifest(machine.wheel("one"))
    asyncio.run(machine.realise(wanted))
    store_copy = machine.store / wanted.id
    realising.keep_spares(store_copy, 1)
    assert not spares(machine)  # its byte code is not complete
    compile_all(store_copy)
    realising.keep_spares(store_copy, 1)
    [spare] = spares(machine)
    inode = spare.stat().st_ino
    taken, cloned = (asyncio.run(machine.realise(wanted, vm)) for vm in ("vm-2", "vm-3"))
    assert taken.python.parents[1].stat().st_ino == inode
    assert imported(taken.python, "one")["prefix"] == str(machine.directory / "vm-2")
    assert imported(cloned.python, "one")["prefix"] == str(machine.directory / "vm-3")
    assert not spares(machine)


def test_clones_made_ahead_end_with_their_environment(machine: Machine) -> None:
    wanted = machine.manifest(machine.wheel("one"))
    asyncio.run(machine.realise(wanted))
    compile_all(machine.store / wanted.id)
    realising.keep_spares(machine.store / wanted.id, 3)
    realising.keep_spares(machine.store / wanted.id, 2)
    assert len(spares(machine)) == 2
    os.utime(machine.store / wanted.id, (0, 0))
    prune(machine.store, keep=frozenset(), older_than=1.0)
    assert not [it for it in machine.store.iterdir() if it.is_dir()]


def spares(machine: Machine) -> list[Path]:
    return list(machine.store.glob(".spare-*"))


def test_a_file_name_from_the_network_stays_in_its_directory(machine: Machine) -> None:
    wanted = machine.manifest(machine.wheel("one"))
    [file] = wanted.wheels
    outside = machine.directory / "outside-1.0-py3-none-any.whl"
    evil = msgspec.structs.replace(file, filename=f"../../../{outside.name}")
    with pytest.raises(EnvironmentFailed):  # its wheel is not where the lock looks
        asyncio.run(machine.realise(msgspec.structs.replace(wanted, wheels=(evil,))))
    assert not outside.exists()

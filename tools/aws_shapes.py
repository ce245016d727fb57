"""EC2's machine types and offerings by zone, as moto delivers them (a copy of DescribeInstanceTypes
and DescribeInstanceTypeOfferings).

Left out: metal, Macs, and what is no general computer (FPGA, inference and video chips). Which
letter names which zone differs from account to account: a refresh reads the account's own.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from importlib import resources
from pathlib import Path

from shoal.clouds.catalog.facts import MachineType, Region
from shoal.clouds.catalog.fetch.aws import machine_type

_OTHER = ("f1", "f2", "inf", "trn", "dl", "vt", "mac", "u-", "u7", "hpc", "p2")
_ARCH = {"x86_64": "x86_64", "arm64": "aarch64"}


def types() -> tuple[MachineType, ...]:
    file = _moto() / "instance_types.json.gz"
    plain = json.loads(gzip.decompress(file.read_bytes()))
    return tuple(machine_type(plain[name]) for name in sorted(plain) if _is_general(plain[name]))


def regions(known: tuple[MachineType, ...]) -> tuple[Region, ...]:
    directory = _moto() / "instance_type_offerings" / "availability-zone"
    return tuple(_region(path, known) for path in sorted(directory.glob("*.json.gz")))


def _moto() -> Path:
    return Path(str(resources.files("moto.ec2") / "resources"))


def _is_general(it: dict) -> bool:  # type: ignore[type-arg]  # as moto has it
    name = it["InstanceType"]
    architectures = it["ProcessorInfo"]["SupportedArchitectures"]
    return (
        not it["BareMetal"]
        and not name.startswith(_OTHER)
        and any(kind in _ARCH for kind in architectures)
    )


def _region(path: Path, known: tuple[MachineType, ...]) -> Region:
    """A family stands where most of its types stand; types that differ are exceptions."""
    name = path.name.split(".")[0]
    letters: dict[str, set[str]] = defaultdict(set)
    for row in json.loads(gzip.decompress(path.read_bytes())):
        letters[row["InstanceType"]].add(row["Location"][-1])
    every = "".join(sorted(set().union(*letters.values())))
    at = {it: "".join(sorted(letters[it.name])) for it in known}
    families = {
        it.family: _most([at[other] for other in known if other.family == it.family])
        for it in known
    }
    return Region(
        name,
        tuple(name + letter for letter in every),
        {family: where for family, where in families.items() if where},
        {it.name: at[it] for it in known if at[it] != families[it.family]},
    )


def _most(values: list[str]) -> str:
    return max(sorted(set(values)), key=values.count)

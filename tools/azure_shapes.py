"""Azure's VM sizes by the rule of each series, and which regions have zones.

As for Compute Engine: only what is published and certain; the rest comes with a refresh. Zones are
named region-number. (learn.microsoft.com/azure/virtual-machines/sizes and /reliability/regions.)
"""

from __future__ import annotations

from shoal.clouds.catalog.facts import MachineType, Region

_WITH_ZONES = """australiaeast brazilsouth canadacentral centralindia centralus eastasia eastus
    eastus2 francecentral germanywestcentral italynorth japaneast koreacentral northeurope
    norwayeast polandcentral southafricanorth southcentralus southeastasia swedencentral
    switzerlandnorth uaenorth uksouth westeurope westus2 westus3"""
_WITHOUT_ZONES = """canadaeast northcentralus southindia ukwest westcentralus westus"""

# series: letters, suffix, GiB a vCPU, sizes, and what differs.
_X86_SIZES = (2, 4, 8, 16, 32, 48, 64, 96)
_RULES: tuple[tuple[str, str, int, tuple[int, ...], str], ...] = (
    ("D", "s_v5", 4, _X86_SIZES, "x86_64"),
    ("D", "as_v5", 4, _X86_SIZES, "x86_64"),
    ("E", "s_v5", 8, (2, 4, 8, 16, 20, 32, 48, 64), "x86_64"),
    ("E", "as_v5", 8, (2, 4, 8, 16, 20, 32, 48, 64), "x86_64"),
    ("F", "s_v2", 2, (2, 4, 8, 16, 32, 48, 64, 72), "x86_64"),
    ("D", "ps_v5", 4, (2, 4, 8, 16, 32, 48), "aarch64"),
    ("D", "pls_v5", 2, (2, 4, 8, 16, 32, 48, 64), "aarch64"),
    ("E", "ps_v5", 8, (2, 4, 8, 16, 20), "aarch64"),
)
_BURSTABLE = (("B1s", 1, 1), ("B2s", 2, 4), ("B2ms", 2, 8), ("B4ms", 4, 16), ("B8ms", 8, 32))
# name, family, vCPU, GiB, GPUs, kind.
_GPU = (
    ("NC4as_T4_v3", "NCas_T4_v3", 4, 28, 1, "T4"),
    ("NC8as_T4_v3", "NCas_T4_v3", 8, 56, 1, "T4"),
    ("NC16as_T4_v3", "NCas_T4_v3", 16, 110, 1, "T4"),
    ("NC64as_T4_v3", "NCas_T4_v3", 64, 440, 4, "T4"),
    ("NC24ads_A100_v4", "NCads_A100_v4", 24, 220, 1, "A100"),
    ("NC48ads_A100_v4", "NCads_A100_v4", 48, 440, 2, "A100"),
    ("NC96ads_A100_v4", "NCads_A100_v4", 96, 880, 4, "A100"),
)
_ARM_REGIONS = """australiaeast canadacentral centralindia centralus eastasia eastus eastus2
    francecentral germanywestcentral japaneast koreacentral northeurope southeastasia uksouth
    westeurope westus2"""
_GPU_REGIONS = "eastus southcentralus westeurope westus2"


def types() -> tuple[MachineType, ...]:
    ruled = [
        MachineType(f"Standard_{letter}{n}{suffix}", letter + suffix, arch, n, n * gib * 1024)
        for letter, suffix, gib, sizes, arch in _RULES
        for n in sizes
    ]
    small = [
        MachineType(f"Standard_{name}", "B", "x86_64", n, gib * 1024, burstable=True, spot=False)
        for name, n, gib in _BURSTABLE
    ]
    gpu = [
        MachineType(f"Standard_{name}", family, "x86_64", n, gib * 1024, count, kind)
        for name, family, n, gib, count, kind in _GPU
    ]
    return tuple(sorted([*ruled, *small, *gpu], key=lambda it: it.name))


def regions() -> tuple[Region, ...]:
    return tuple(_region(name) for name in sorted([*_WITH_ZONES.split(), *_WITHOUT_ZONES.split()]))


def _region(name: str) -> Region:
    families = {"B": "*"} | {f"{a}{b}": "*" for a, b, *_, arch in _RULES if arch == "x86_64"}
    if name in _ARM_REGIONS.split():
        families |= {f"{a}{b}": "*" for a, b, *_, arch in _RULES if arch == "aarch64"}
    if name in _GPU_REGIONS.split():
        families |= {family: "*" for _, family, *_ in _GPU}
    zones = () if name in _WITHOUT_ZONES.split() else tuple(f"{name}-{n}" for n in (1, 2, 3))
    return Region(name, zones, families)

"""Compute Engine's machine types by the rule of each family, and in which zones a family is.

No package delivers them. A family's rule is a published fact (so much memory a vCPU, these sizes);
a family stands here only where rule and places are certain. What is left out is found by
`shoal offers --refresh`. (cloud.google.com/compute/docs/machine-resource and /regions-zones.)
"""

from __future__ import annotations

from shoal.clouds.catalog.facts import MachineType, Region
from shoal.clouds.gcp import accelerators

_ZONES = {
    "abc": """africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3
        asia-south1 asia-south2 asia-southeast1 asia-southeast2 australia-southeast1
        australia-southeast2 europe-central2 europe-north1 europe-southwest1 europe-west10
        europe-west12 europe-west2 europe-west3 europe-west4 europe-west6 europe-west8 europe-west9
        me-central1 me-west1 northamerica-northeast1 northamerica-northeast2 southamerica-east1
        southamerica-west1 us-east4 us-east5 us-south1 us-west1 us-west2 us-west3 us-west4""",
    "bcd": "us-east1 europe-west1",
    "abcf": "us-central1",
}
# In all zones: e2 and n2. In some regions only: by region.
_EVERYWHERE = ("e2", "n2")
_SOME = {
    "n1": {"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd", "us-west1": "abc"},
    "n2d": {"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd", "us-west1": "abc"},
    "c2": {"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd", "us-west1": "abc"},
    "t2a": {"us-central1": "abf", "europe-west4": "abc", "asia-southeast1": "bc"},
    "c4a": {"us-central1": "abc", "us-east1": "bcd", "us-east4": "abc", "europe-west4": "abc"},
    "c3": {"us-central1": "abc", "us-east1": "bcd", "us-east4": "abc", "europe-west4": "abc"},
    "n4": {"us-central1": "abcf", "us-east1": "bcd", "us-east4": "abc", "europe-west1": "bcd"},
    "g2": {"us-central1": "abc", "us-east1": "bcd", "us-east4": "ac", "europe-west4": "abc"},
    "a2": {"us-central1": "abcf", "us-east1": "b", "us-west1": "b", "europe-west4": "ab"},
}
# GPUs that are attached to N1 machines (cloud.google.com/compute/docs/gpus/gpu-regions-zones).
_ATTACHED = {
    "t4": {
        "asia-east1": "ac",
        "asia-northeast1": "ac",
        "asia-northeast3": "bc",
        "asia-south1": "ab",
        "asia-southeast1": "abc",
        "australia-southeast1": "ac",
        "europe-west1": "bcd",
        "europe-west2": "ab",
        "europe-west3": "b",
        "europe-west4": "abc",
        "northamerica-northeast1": "c",
        "southamerica-east1": "c",
        "us-central1": "abcf",
        "us-east1": "cd",
        "us-east4": "abc",
        "us-west1": "ab",
        "us-west2": "bc",
        "us-west4": "ab",
    },
    "v100": {
        "asia-east1": "c",
        "europe-west4": "abc",
        "us-central1": "abcf",
        "us-east1": "c",
        "us-west1": "ab",
    },
    "p100": {
        "asia-east1": "ac",
        "australia-southeast1": "c",
        "europe-west1": "bd",
        "europe-west4": "a",
        "us-central1": "cf",
        "us-east1": "bc",
        "us-west1": "ab",
    },
    "p4": {
        "asia-southeast1": "bc",
        "australia-southeast1": "ab",
        "europe-west4": "bc",
        "northamerica-northeast1": "abc",
        "us-central1": "ac",
        "us-east4": "abc",
        "us-west2": "bc",
    },
}
_PREVIOUS = ("n1",)
_ARM = ("t2a", "c4a")

# family-kind: MiB a vCPU, and the sizes for which that holds.
_RULES: dict[str, tuple[int, tuple[int, ...]]] = {
    "e2-standard": (4096, (2, 4, 8, 16, 32)),
    "e2-highmem": (8192, (2, 4, 8, 16)),
    "e2-highcpu": (1024, (2, 4, 8, 16, 32)),
    "n1-standard": (3840, (1, 2, 4, 8, 16, 32, 64, 96)),
    "n1-highmem": (6656, (2, 4, 8, 16, 32, 64, 96)),
    "n2-standard": (4096, (2, 4, 8, 16, 32, 48, 64, 80, 96, 128)),
    "n2-highmem": (8192, (2, 4, 8, 16, 32, 48, 64, 80)),
    "n2-highcpu": (1024, (2, 4, 8, 16, 32, 48, 64, 80, 96)),
    "n2d-standard": (4096, (2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224)),
    "n2d-highmem": (8192, (2, 4, 8, 16, 32, 48, 64, 80, 96)),
    "n2d-highcpu": (1024, (2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224)),
    "c2-standard": (4096, (4, 8, 16, 30, 60)),
    "t2a-standard": (4096, (1, 2, 4, 8, 16, 32, 48)),
    "c3-standard": (4096, (4, 8, 22, 44, 88, 176)),
    "c3-highmem": (8192, (4, 8, 22, 44, 88, 176)),
    "c3-highcpu": (2048, (4, 8, 22, 44, 88, 176)),
    "c4a-standard": (4096, (1, 2, 4, 8, 16, 32, 48, 64, 72)),
    "c4a-highmem": (8192, (1, 2, 4, 8, 16, 32, 48, 64, 72)),
    "c4a-highcpu": (2048, (1, 2, 4, 8, 16, 32, 48, 64, 72)),
    "n4-standard": (4096, (2, 4, 8, 16, 32, 48, 64, 80)),
    "n4-highmem": (8192, (2, 4, 8, 16, 32, 48, 64, 80)),
    "n4-highcpu": (2048, (2, 4, 8, 16, 32, 48, 64, 80)),
    "g2-standard": (4096, (4, 8, 12, 16, 24, 32, 48, 96)),
}
_L4 = {24: 2, 48: 4, 96: 8}  # of g2-standard-N; one otherwise
_SHARED_CORE = (("e2-micro", 1), ("e2-small", 2), ("e2-medium", 4))


def types() -> tuple[MachineType, ...]:
    ruled = [_ruled(kind, size, mib) for kind, (mib, sizes) in _RULES.items() for size in sizes]
    shared = [
        MachineType(name, "e2", "x86_64", 2, gib * 1024, burstable=True)
        for name, gib in _SHARED_CORE
    ]
    a100 = [
        MachineType(f"a2-highgpu-{n}g", "a2", "x86_64", 12 * n, 85 * n * 1024, n, _A100)
        for n in (1, 2, 4, 8)
    ]
    attached = accelerators.types(ruled)
    return tuple(sorted([*ruled, *attached, *shared, *a100], key=lambda it: it.name))


_A100 = "nvidia-tesla-a100"


def _ruled(kind: str, size: int, mib: int) -> MachineType:
    family = kind.split("-")[0]
    return MachineType(
        f"{kind}-{size}",
        family,
        "aarch64" if family in _ARM else "x86_64",
        size,
        size * mib,
        gpu=_L4.get(size, 1) if family == "g2" else 0,
        gpu_type="nvidia-l4" if family == "g2" else "",
        current=family not in _PREVIOUS,
    )


def regions() -> tuple[Region, ...]:
    return tuple(
        Region(
            name,
            tuple(f"{name}-{letter}" for letter in letters),
            dict.fromkeys(_EVERYWHERE, "*")
            | {family: at[name] for family, at in _SOME.items() if name in at}
            | {
                accelerators.family(f"nvidia-tesla-{kind}"): at[name]
                for kind, at in _ATTACHED.items()
                if name in at
            },
        )
        for letters, names in _ZONES.items()
        for name in sorted(names.split())
    )

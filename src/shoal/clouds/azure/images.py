"""Which image a VM starts from: the account's own, else Ubuntu LTS for its processor, by family.

Azure finds the newest of a family itself ("latest"), in the region, at launch; so nothing is looked
up here. GPU types need NVIDIA's drivers, which Canonical's image lacks: Microsoft's Ubuntu for HPC
has them. https://learn.microsoft.com/azure/virtual-machines/azure-hpc-vm-images (read 2026-11)
"""

from __future__ import annotations

import msgspec

from shoal.clouds.provider import Refused, Scope
from shoal.core.records import Offer

Reference = dict[str, str]  # Azure's `imageReference`


class Urn(msgspec.Struct, frozen=True):
    """A marketplace image, as the vendor's tool writes it: "publisher:offer:sku:version"."""

    publisher: str
    offer: str
    sku: str
    version: str = "latest"


UBUNTU = {
    "x86_64": Urn("Canonical", "ubuntu-24_04-lts", "server"),
    "aarch64": Urn("Canonical", "ubuntu-24_04-lts", "server-arm64"),
}


def chosen(image: str, offer: Offer) -> Reference:
    """`image` is the batch's or the account's; empty: by architecture and GPU."""
    if image.startswith("/"):
        return {"id": image}
    found: Reference = msgspec.to_builtins(urn(image) if image else by_offer(offer))
    return found


def by_offer(offer: Offer) -> Urn:
    if not offer.gpu:
        return UBUNTU[offer.arch]
    if offer.arch != "x86_64":
        raise Refused(
            f"There is no ready image with NVIDIA's drivers for {offer.machine_type} (Arm).",
            scope=Scope(machine_type=offer.machine_type),
            hint="Name an image of your own in the account, or ask for an x86 type.",
        )
    return Urn(
        "microsoft-dsvm", "ubuntu-hpc", "2404"
    )  # 2204 has Python 3.10, older than an agent needs


def urn(image: str) -> Urn:
    parts = image.split(":")
    if len(parts) not in (3, 4) or not all(parts):
        raise Refused(
            f"{image!r} is no image of Azure.",
            scope=Scope(alone=True),
            hint='Give a resource id, or "publisher:offer:sku:version".',
        )
    return Urn(*parts)

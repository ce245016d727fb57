"""Images that an account names: one for all, or one for each kind of machine."""

from __future__ import annotations

import msgspec
import pytest

from shoal.clouds import images
from shoal.errors import InvalidRequest
from tests.core.worlds import offer

BY_KIND = "x86_64=ours-x86, gpu = ours/with:drivers"


@pytest.mark.parametrize(
    ("image", "arch", "gpu", "taken"),
    [
        ("", "x86_64", 0, ""),
        ("ours", "aarch64", 1, "ours"),
        (BY_KIND, "x86_64", 0, "ours-x86"),
        (BY_KIND, "x86_64", 1, "ours/with:drivers"),
        (BY_KIND, "aarch64", 0, ""),
    ],
)
def test_a_machine_gets_the_image_of_its_kind(image: str, arch: str, gpu: int, taken: str) -> None:
    machine = msgspec.structs.replace(offer(), arch=arch, gpu=gpu)
    assert images.named(image, machine) == taken


@pytest.mark.parametrize("image", ["arm=ours", "x86_64=", "gpu=ours,theirs"])
def test_a_kind_that_does_not_exist_is_refused(image: str) -> None:
    with pytest.raises(InvalidRequest, match="names no image"):
        images.parsed(image)

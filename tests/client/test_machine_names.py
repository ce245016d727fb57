"""The processor that a machine type's name tells of."""

from __future__ import annotations

import pytest

from shoal.client.machine_names import is_arm
from shoal.wire.specs import Cloud


@pytest.mark.parametrize(
    ("cloud", "name", "arm"),
    [
        (Cloud.AWS, "m7g.large", True),
        (Cloud.AWS, "c6gn.16xlarge", True),
        (Cloud.AWS, "x2gd.metal", True),
        (Cloud.AWS, "a1.medium", True),
        (Cloud.AWS, "g5g.xlarge", True),
        (Cloud.AWS, "g5.xlarge", False),
        (Cloud.AWS, "m7i-flex.large", False),
        (Cloud.AWS, "p5en.48xlarge", False),
        (Cloud.AWS, "u-6tb1.metal", None),
        (Cloud.GCP, "t2a-standard-4", True),
        (Cloud.GCP, "c4a-highmem-8", True),
        (Cloud.GCP, "n2-standard-4", False),
        (Cloud.GCP, "e2-medium", False),
        (Cloud.AZURE, "Standard_D4ps_v5", True),
        (Cloud.AZURE, "Standard_D4s_v5", False),
        (Cloud.AZURE, "Standard_NP10s", False),
        (Cloud.LOCAL, "m7g.large", None),
    ],
)
def test_a_name_tells_the_processor_or_nothing(cloud: Cloud, name: str, arm: bool | None) -> None:
    assert is_arm(cloud, name) is arm

"""A project is examined, prepared and put back, against the double."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from shoal.clouds.account import Finding
from shoal.clouds.gcp.account import GcpSetup, free_range
from shoal.clouds.provider import Refused
from tests.clouds.gcp.test_cloud import Project, batch
from tests.doubles.gcp.compute import Compute
from tests.doubles.gcp.server import GcpDouble

REGION = "us-east1"


@pytest.fixture
def double() -> Iterator[GcpDouble]:
    with GcpDouble(Compute()) as made:
        yield made
    assert made.faults == []


def setup(double: GcpDouble) -> GcpSetup:
    endpoint = double.account.endpoint
    return GcpSetup(double.account, credentials=double.credentials, projects=endpoint)


def problems(double: GcpDouble, region: str = REGION) -> list[Finding]:
    return [it for it in asyncio.run(setup(double).check(region)) if it.problem]


def test_what_is_prepared_is_planned_made_once_found_and_put_back(double: GcpDouble) -> None:
    steps = asyncio.run(setup(double).plan(REGION))
    assert [it.done for it in steps] == [False] * 3
    assert all(it.command.startswith("gcloud compute ") for it in steps)
    assert [it.what.split()[0] for it in problems(double)] == ["network", "subnet", "rule"]
    double.compute.knobs.slow_polls = 2
    for _ in range(2):
        asyncio.run(setup(double).prepare(REGION))
    assert len(double.compute.left()) == 3
    assert [it.done for it in asyncio.run(setup(double).plan(REGION))] == [True] * 3
    assert problems(double) == []
    assert len(asyncio.run(setup(double).remove())) == 3
    assert double.compute.left() == []


def test_another_region_is_prepared_beside(double: GcpDouble) -> None:
    for region in (REGION, "europe-west4"):
        asyncio.run(setup(double).prepare(region))
    ranges = {it["ipCidrRange"] for it in double.compute.subnetworks.values()}
    assert len(ranges) == 2
    asyncio.run(setup(double).remove())
    assert double.compute.left() == []


def test_regions_whose_names_would_take_the_same_range_are_prepared_beside_each_other(
    double: GcpDouble,
) -> None:
    for region in ("us-east4", "us-west1"):
        asyncio.run(setup(double).prepare(region))
    assert [it.done for it in asyncio.run(setup(double).plan("us-west1"))] == [True] * 3
    asyncio.run(setup(double).remove())


def test_sixty_regions_fit_beside_each_other_and_beside_what_is_there() -> None:
    taken = [IPv4Network("10.64.0.0/20"), IPv4Network("10.70.3.0/24")]
    for number in range(60):
        taken.append(IPv4Network(free_range(f"region-{number}", taken)))
    assert all(not a.overlaps(b) for a, b in itertools.combinations(taken, 2))


def test_no_free_range_is_told() -> None:
    with pytest.raises(Refused, match="is taken"):
        free_range("us-east1", [IPv4Network("10.64.0.0/10")])


def test_a_network_that_somebody_else_made_is_used_and_stays(double: GcpDouble) -> None:
    double.compute.networks["shoal"] = {"name": "shoal", "description": "the company's"}
    asyncio.run(setup(double).prepare(REGION))
    asyncio.run(setup(double).remove())
    assert double.compute.left() == ["shoal"]


def test_nothing_is_removed_while_vms_use_it(double: GcpDouble) -> None:
    asyncio.run(setup(double).prepare(REGION))
    project = Project(double)
    project.launch(batch(1))
    with pytest.raises(Refused, match="1 VMs still use"):
        asyncio.run(setup(double).remove())
    asyncio.run(project.cloud.terminate(project.list()))
    asyncio.run(setup(double).remove())


def test_a_missing_permission_is_named_with_its_reason_and_fix(double: GcpDouble) -> None:
    asyncio.run(setup(double).prepare(REGION))
    double.compute.knobs.not_granted = frozenset({"compute.instances.delete"})
    [missing] = problems(double)
    assert missing.what == "permission compute.instances.delete"
    assert "end VMs" in missing.problem
    assert "--print" in missing.fix
    assert "compute.instances.delete" in setup(double).role()


def test_the_how_to_tells_every_permission_with_its_reason() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "gcp.md").read_text(encoding="utf-8")
    for it in GcpSetup.permissions:
        assert f"| `{it.name}` | {it.why} |" in page


def test_a_quota_is_asked_against_its_limit(double: GcpDouble) -> None:
    asyncio.run(setup(double).prepare(REGION))
    double.compute.knobs.quota = {REGION: 4}
    [low] = problems(double)
    assert low.what == "quota CPUS in us-east1"
    assert low.found == "0 of 4 in use"
    assert not low.essential


def test_no_login_and_no_region_are_said_first(double: GcpDouble) -> None:
    [wrong] = problems(double, "us-nowhere1")
    assert wrong.what == "region us-nowhere1"
    double.compute.knobs.forbidden = frozenset({"regions.get"})
    [login] = problems(double)
    assert login.what == "login to project shoal-test"

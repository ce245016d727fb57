"""A project is examined, prepared and put back, against the double."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import msgspec
import pytest

from shoal.clouds.account import Finding
from shoal.clouds.gcp import names, permissions
from shoal.clouds.gcp.account import GcpSetup, free_range
from shoal.clouds.provider import Refused
from shoal.core.proposal import Part
from shoal.core.records import Offer
from shoal.wire.specs import Cloud, Role
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
    return GcpSetup(double.account, credentials=double.credentials)


def problems(double: GcpDouble, region: str = REGION) -> list[Finding]:
    return [it for it in asyncio.run(setup(double).check(region)) if it.problem]


def test_what_is_prepared_is_planned_made_once_found_and_put_back(double: GcpDouble) -> None:
    steps = asyncio.run(setup(double).plan(REGION))
    assert [it.done for it in steps] == [False] * 4
    assert all(it.command.startswith("gcloud ") for it in steps)
    assert all(names.MADE_BY in it.command for it in steps)
    assert [(it.what, it.command) for it in setup(double).outline(REGION)] == [
        (it.what, it.command) for it in steps
    ]
    made = ["identity", "network", "subnet", "rule"]
    assert [it.what.split()[0] for it in problems(double)] == made
    double.compute.knobs.slow_polls = 2
    for _ in range(2):
        asyncio.run(setup(double).prepare(REGION))
    assert len(double.compute.left()) == 4
    assert [it.done for it in asyncio.run(setup(double).plan(REGION))] == [True] * 4
    assert problems(double) == []
    assert len(asyncio.run(setup(double).remove())) == 4
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
    assert [it.done for it in asyncio.run(setup(double).plan("us-west1"))] == [True] * 4
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


EMAIL = "shoal-vm@shoal-test.iam.gserviceaccount.com"


def test_vms_bear_an_identity_that_may_do_nothing_and_has_no_key(double: GcpDouble) -> None:
    ready = asyncio.run(setup(double).prepare(REGION))
    assert ready.service_account == EMAIL
    double.account = ready
    project = Project(double)
    project.launch(batch(1))
    [borne] = project.only()["serviceAccounts"]  # type: ignore[misc]
    assert borne["email"] == EMAIL
    assert "serviceAccounts.keys" not in " ".join(double.compute.calls)
    asyncio.run(project.cloud.terminate(project.list()))
    asyncio.run(setup(double).remove())
    assert double.compute.left() == []


@pytest.mark.parametrize("named", ["none", "own@corp.iam.gserviceaccount.com"])
def test_an_identity_that_is_named_is_not_made(double: GcpDouble, named: str) -> None:
    double.account = msgspec.structs.replace(double.account, service_account=named)
    assert asyncio.run(setup(double).prepare(REGION)).service_account == named
    assert double.compute.service_accounts == {}


def test_an_identity_that_somebody_else_made_is_used_and_stays(double: GcpDouble) -> None:
    double.compute.service_accounts[EMAIL] = {"email": EMAIL, "description": "the company's"}
    asyncio.run(setup(double).prepare(REGION))
    asyncio.run(setup(double).remove())
    assert double.compute.left() == [EMAIL]


def test_another_network_has_rules_of_its_own(double: GcpDouble) -> None:
    """Rules are named in the project: one of this name is another network's."""
    asyncio.run(setup(double).prepare(REGION))
    double.account = msgspec.structs.replace(double.account, network="corp", subnet="workers")
    assert "rule" in [it.what.split()[0] for it in problems(double)]
    asyncio.run(setup(double).prepare(REGION))
    networks = {names.last(it["network"]) for it in double.compute.firewalls.values()}
    assert networks == {"shoal", "corp"}
    asyncio.run(setup(double).remove())
    assert {names.last(it["network"]) for it in double.compute.firewalls.values()} == {"shoal"}


HOST = "projects/host-project/global/networks/corp"
SUBNET = "projects/host-project/regions/us-east1/subnetworks/workers"


def test_a_shared_network_gets_a_rule_and_nothing_else(double: GcpDouble) -> None:
    double.account = msgspec.structs.replace(double.account, network=HOST, subnet=SUBNET)
    assert [it.what.split()[0] for it in problems(double)] == ["identity", "rule", "subnet"]
    double.compute.networks["corp"] = {"name": "corp"}
    double.compute.subnetworks["us-east1/workers"] = {"name": "workers", "region": "us-east1"}
    asyncio.run(setup(double).prepare(REGION))
    [rule] = double.compute.firewalls.values()
    assert rule["network"] == HOST
    assert problems(double) == []
    project = Project(double)
    project.launch(batch(1))
    [interface] = project.only()["networkInterfaces"]  # type: ignore[misc]
    assert (interface["network"], interface["subnetwork"]) == (HOST, SUBNET)
    asyncio.run(project.cloud.terminate(project.list()))
    asyncio.run(setup(double).remove())
    assert double.compute.left() == ["us-east1/workers", "corp"][::-1]


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
    for it in (*permissions.ALL, *permissions.SETUP):
        assert f"| `{it.name}` | {it.why} |" in page


def test_a_quota_is_asked_against_its_limit(double: GcpDouble) -> None:
    asyncio.run(setup(double).prepare(REGION))
    double.compute.knobs.quota = {REGION: 4}
    [low] = problems(double)
    assert low.what == "quota CPUS in us-east1"
    assert low.found == "0 of 4 in use: room for 1 workers of 4 vCPU"
    assert not low.essential


def test_what_counts_for_clusters_is_told_with_how_much_room_there_is(double: GcpDouble) -> None:
    double.compute.knobs.quotas = {
        "PREEMPTIBLE_CPUS": (0, 0),
        "N2_CPUS": (8, 24),
        "NVIDIA_T4_GPUS": (1, 4),
        "NVIDIA_V100_GPUS": (0, 0),
        "COMMITTED_N2_CPUS": (0, 24),
        "IN_USE_ADDRESSES": (0, 8),
    }
    double.compute.knobs.project_quotas = {"GPUS_ALL_REGIONS": (0, 0), "SNAPSHOTS": (0, 5)}
    found = {
        it.what: it.found
        for it in asyncio.run(setup(double).check(REGION))
        if it.what.startswith("quota")
    }
    assert found == {
        "quota CPUS in us-east1": "0 of 72 in use: room for 18 workers of 4 vCPU",
        "quota IN_USE_ADDRESSES in us-east1": "0 of 8 in use: room for 8 VMs",
        "quota N2_CPUS in us-east1": "8 of 24 in use: room for 4 workers of 4 vCPU",
        "quota NVIDIA_T4_GPUS in us-east1": "1 of 4 in use: room for 3 GPUs",
        "quota PREEMPTIBLE_CPUS in us-east1": "0 of 0 in use: spot VMs count as the others",
        "quota GPUS_ALL_REGIONS in all regions": "0 of 0 in use: no GPU can be had",
    }


def t4s(count: int, *, spot: bool = False) -> Part:
    type_ = "n1-standard-8+1xt4"
    offer = Offer(Cloud.GCP, REGION, f"{REGION}-c", type_, spot, "x86_64", 8, 30 << 30)
    offer = msgspec.structs.replace(offer, gpu=1, gpu_type="nvidia-tesla-t4")
    return Part(Role.WORKER, count, count, (offer,), 40)


def test_a_quota_is_held_against_the_cluster_that_somebody_asks_about(double: GcpDouble) -> None:
    head = Offer(Cloud.GCP, REGION, f"{REGION}-c", "n2-standard-4", False, "x86_64", 4, 16 << 30)
    asked = (Part(Role.SCHEDULER, 1, 1, (head,), 30), t4s(10))
    asyncio.run(setup(double).prepare(REGION))
    double.compute.knobs.quotas = {
        "N2_CPUS": (20, 24),
        "NVIDIA_T4_GPUS": (1, 4),
        "IN_USE_ADDRESSES": (0, 8),
        "SSD_TOTAL_GB": (0, 429),
        "PREEMPTIBLE_CPUS": (0, 0),
    }
    double.compute.knobs.project_quotas = {"GPUS_ALL_REGIONS": (0, 10)}
    checked = asyncio.run(setup(double).check(REGION, asked))
    found = {it.what: it for it in checked if it.what.startswith("quota")}
    assert {it.what: (it.problem, it.essential) for it in found.values() if it.problem} == {
        "quota CPUS in us-east1": ("Only 72 are left; the cluster takes 80.", True),
        "quota NVIDIA_T4_GPUS in us-east1": ("Only 3 are left; the cluster takes 10.", True),
        "quota IN_USE_ADDRESSES in us-east1": ("Only 8 are left; the cluster takes 11.", True),
        "quota SSD_TOTAL_GB in us-east1": ("Only 429 are left; the cluster takes 430.", True),
    }
    assert found["quota NVIDIA_T4_GPUS in us-east1"].fix.startswith(
        "Raise it to 11 or more at http"
    )
    room = found["quota N2_CPUS in us-east1"].found
    assert room == "20 of 24 in use: room for the 4 of the cluster"
    assert "room for the 10" in found["quota GPUS_ALL_REGIONS in all regions"].found


def test_spot_vms_have_a_quota_of_their_own_once_it_is_granted(double: GcpDouble) -> None:
    def needed(limit: float) -> dict[str, str]:
        double.compute.knobs.quotas = {
            "PREEMPTIBLE_CPUS": (0, limit),
            "PREEMPTIBLE_NVIDIA_T4_GPUS": (0, 1),
        }
        checked = asyncio.run(setup(double).check(REGION, (t4s(10, spot=True),)))
        return {it.what: it.problem for it in checked if "the cluster takes" in it.problem}

    gpus = {
        "quota PREEMPTIBLE_NVIDIA_T4_GPUS in us-east1": "Only 1 are left; the cluster takes 10."
    }
    cpus = "are left; the cluster takes 80."
    assert needed(0) == {"quota CPUS in us-east1": f"Only 72 {cpus}", **gpus}
    assert needed(40) == {"quota PREEMPTIBLE_CPUS in us-east1": f"Only 40 {cpus}", **gpus}


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("projects.testIamPermissions", "permissions"),
        ("serviceAccounts.get", "network"),
        ("services.list", "API cloudbilling.googleapis.com: prices of today"),
        ("projects.get", "quotas"),
    ],
)
def test_what_cannot_be_looked_at_is_a_finding_and_no_end(
    double: GcpDouble, method: str, what: str
) -> None:
    asyncio.run(setup(double).prepare(REGION))
    double.compute.knobs.forbidden = frozenset({method})
    [finding] = problems(double)
    assert finding.what == what
    assert finding.fix


def test_no_login_and_no_region_are_said_first(double: GcpDouble) -> None:
    [wrong] = problems(double, "us-nowhere1")
    assert wrong.what == "region us-nowhere1"
    double.compute.knobs.forbidden = frozenset({"regions.get"})
    [login] = problems(double)
    assert login.what == "login to project shoal-test"

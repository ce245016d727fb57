"""What the clouds' own APIs say, in their documented shapes, as facts."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shoal.clouds.catalog import Catalog, files
from shoal.clouds.catalog.facts import MachineType, PriceList, Region
from shoal.clouds.catalog.fetch import aws, azure, gcp
from shoal.errors import CloudError
from shoal.wire.accounts import AwsAccount
from shoal.wire.specs import Cloud
from tests.doubles.aws.knobs import Knobs as AwsKnobs
from tests.doubles.aws.server import AwsDouble
from tests.doubles.azure.arm import Arm
from tests.doubles.azure.server import AzureDouble, prepared
from tests.doubles.gcp.compute import Compute, Knobs
from tests.doubles.gcp.login import login
from tests.doubles.gcp.server import GcpDouble

TODAY = date(2026, 11, 23)


def meter(sku: str, price: float, name: str = "", product: str = "Dsv5 Series") -> dict[str, Any]:
    return {
        "currencyCode": "USD",
        "retailPrice": price,
        "armRegionName": "eastus",
        "armSkuName": sku,
        "skuName": name or sku,
        "productName": f"Virtual Machines {product}",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
    }


def part(meter_name: str, price: float, unit: str) -> dict[str, Any]:
    return {**meter("", price), "meterName": meter_name, "unitOfMeasure": unit}


OTHERS = {
    "Managed Disks": [
        part("E10 LRS Disk Operations", 0.002, "10K"),
        part("E10 LRS Disk", 9.6, "1/Month"),
    ],
    "IP Addresses": [part("Standard IPv4 Static Public IP", 0.005, "1 Hour")],
}
PAGES = {
    "": [
        meter("Standard_D4s_v5", 0.192, "D4s v5"),
        meter("Standard_D4s_v5", 0.376, "D4s v5", "Dsv5 Series Windows"),
        meter("Standard_D4s_v5", 0.08, "D4s v5 Low Priority"),
    ],
    "2": [meter("Standard_D4s_v5", 0.0405, "D4s v5 Spot")],
}


class Retail(BaseHTTPRequestHandler):
    """Azure Retail Prices in two pages."""

    asked: list[str] = []

    def do_GET(self) -> None:
        second = self.path == "/2"
        asked = urllib.parse.unquote_plus(self.path)
        self.asked.append(asked)
        link = f"http://127.0.0.1:{self.server.server_address[1]}/2"
        page = {"Items": PAGES["2" if second else ""], "NextPageLink": None if second else link}
        for product, items in OTHERS.items():
            if product in asked:
                page = {"Items": items, "NextPageLink": None}
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def retail() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Retail)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/prices"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def subscription(tmp_path: Path) -> Iterator[AzureDouble]:
    with AzureDouble(prepared(Arm()), tmp_path) as made:
        yield made


def test_azures_sizes_and_linux_prices_are_read_from_all_pages(
    retail: str, subscription: AzureDouble
) -> None:
    double = subscription
    found = azure.fetch(double.account, "eastus", TODAY, url=retail, trust=double.trust)
    assert {it.name for it in found.types} == set(double.arm.skus)
    assert [it.name for it in found.regions] == ["eastus"]
    asked, spot = found.prices
    assert asked.uusd_per_hour == {"Standard_D4s_v5": 192_000}
    assert spot.uusd_per_hour == {"Standard_D4s_v5": 40_500}
    assert "armRegionName eq 'eastus'" in Retail.asked[0]
    [extra] = found.extras
    assert (extra.disk_uusd_per_gib_month, extra.address_uusd_per_hour) == (75_000, 5_000)


def test_a_price_list_that_does_not_answer_is_the_clouds_error(subscription: AzureDouble) -> None:
    account, trust = subscription.account, subscription.trust
    with pytest.raises(CloudError, match="did not answer"):
        azure.fetch(account, "eastus", TODAY, url="http://127.0.0.1:9/", trust=trust)


def test_a_size_without_zones_is_had_in_its_region() -> None:
    it = MachineType("Standard_D4s_v5", "Ds_v5", "x86_64", 4, 16384)
    assert Region("westus", (), {"Ds_v5": "*"}).zones_of(it) == ("westus",)
    apart = Region("eastus", ("eastus-1",), {"Ds_v5": "*"}, {it.name: ""})
    assert apart.zones_of(it) == ("eastus",)


def test_awss_on_demand_prices_are_those_of_an_hour() -> None:
    def product(unit: str, usd: str) -> str:
        dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
        return json.dumps(
            {
                "product": {"attributes": {"instanceType": "m7i.xlarge"}},
                "terms": {"OnDemand": {"X.Y": {"priceDimensions": {"X.Y.Z": dimension}}}},
            }
        )

    products = [product("Hrs", "0.2016000000"), product("Quantity", "9"), product("Hrs", "0.0")]
    found = aws.on_demand_prices("us-east-1", TODAY, products)
    assert found.uusd_per_hour == {"m7i.xlarge": 201_600}


def test_awss_newest_spot_price_of_a_zone_is_taken() -> None:
    def told(zone: str, price: str, hour: int) -> dict[str, Any]:
        at = datetime(2026, 11, 23, hour, tzinfo=UTC)
        return {
            "AvailabilityZone": zone,
            "InstanceType": "m5.large",
            "SpotPrice": price,
            "Timestamp": at,
        }

    history = [
        told("us-east-1a", "0.05", 9),
        told("us-east-1a", "0.04", 8),
        told("us-east-1b", "1", 9),
    ]
    found = aws.spot_prices("us-east-1", TODAY, history)
    assert [(it.zone, it.uusd_per_hour["m5.large"]) for it in found] == [
        ("us-east-1a", 50_000),
        ("us-east-1b", 1_000_000),
    ]


def test_awss_types_are_read_as_the_snapshot_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        ec2 = boto3.client("ec2", region_name="us-east-1")
        names = ["m7gd.xlarge", "g6.xlarge", "t3.large"]
        told = ec2.describe_instance_types(InstanceTypes=names)["InstanceTypes"]
    known = {it.name: it for it in files.snapshot(Cloud.AWS).types}
    assert {it.name: it for it in aws.machine_types(told)} == {name: known[name] for name in names}


def sku(what: str, nanos: int, usage: str = "OnDemand", region: str = "us-east1") -> dict[str, Any]:
    rate = {"startUsageAmount": 0, "unitPrice": {"units": "0", "nanos": nanos}}
    return {
        "description": what,
        "serviceRegions": [region],
        "category": {"usageType": usage, "resourceFamily": "Compute"},
        "pricingInfo": [{"pricingExpression": {"usageUnit": "h", "tieredRates": [rate]}}],
    }


SKUS = [
    sku("N2 Instance Core running in Americas", 31_611_000),
    sku("N2 Instance Ram running in Americas", 4_237_000),
    sku("N2 Instance Core running in Frankfurt", 99_000_000, region="europe-west3"),
    sku("N2 Custom Instance Core running in Americas", 33_191_000),
    sku("Spot Preemptible N2 Instance Core running in Americas", 7_650_000, "Preemptible"),
    sku("C4A Arm Instance Core running in Americas", 30_000_000),
]


def google(
    name: str, cpus: int, mib: int, zone: str = "us-east1-b", **more: object
) -> dict[str, Any]:
    return {"name": name, "guestCpus": cpus, "memoryMb": mib, "zone": zone, **more}


def test_googles_price_is_the_sum_of_cores_and_memory_and_needs_both() -> None:
    types = gcp.machine_types(
        [
            google("n2-standard-4", 4, 16384),
            google("c4a-standard-4", 4, 16384, architecture="ARM64"),
        ]
    )
    found = gcp.prices(types, SKUS, "us-east1", TODAY, spot=False)
    assert found.uusd_per_hour == {"n2-standard-4": 194_236}
    assert gcp.prices(types, SKUS, "us-east1", TODAY, spot=True).uusd_per_hour == {}


def test_googles_machines_with_gpus_have_no_price_of_a_machine_without() -> None:
    gpu = {"accelerators": [{"guestAcceleratorType": "nvidia-l4", "guestAcceleratorCount": 1}]}
    [it] = gcp.machine_types([google("n2-standard-4", 4, 16384, **gpu)])
    assert (it.gpu, it.gpu_type) == (1, "nvidia-l4")
    assert gcp.prices([it], SKUS, "us-east1", TODAY, spot=False).uusd_per_hour == {}


def test_googles_gpus_and_compute_optimized_cores_have_names_of_their_own_in_billing() -> None:
    skus = [
        sku("G2 Instance Core running in Virginia", 25_000_000),
        sku("G2 Instance Ram running in Virginia", 3_000_000),
        sku("Nvidia L4 GPU running in Virginia", 560_000_000),
        sku("Nvidia L4 Virtual Workstation GPU running in Virginia", 760_000_000),
        sku("Compute optimized Core running in Americas", 34_000_000),
        sku("Compute optimized Ram running in Americas", 4_500_000),
        sku("Nvidia L4 GPU attached to Spot Preemptible VMs running in X", 1, "Preemptible"),
    ]
    gpu = {"accelerators": [{"guestAcceleratorType": "nvidia-l4", "guestAcceleratorCount": 2}]}
    types = gcp.machine_types(
        [google("g2-standard-24", 24, 98304, **gpu), google("c2-standard-4", 4, 16384)]
    )
    assert gcp.prices(types, skus, "us-east1", TODAY, spot=False).uusd_per_hour == {
        "g2-standard-24": 24 * 25_000 + 96 * 3_000 + 2 * 560_000,
        "c2-standard-4": 4 * 34_000 + 16 * 4_500,
    }


def test_googles_types_are_where_they_were_listed() -> None:
    told = [google("n2-standard-4", 4, 16384), google("n2-standard-4", 4, 16384, "us-east1-c")]
    place = gcp.offered("us-east1", told)
    assert place.zones_of(gcp.machine_types(told)[0]) == ("us-east1-b", "us-east1-c")


def attached(
    name: str, region: str = "us-east1", usage: str = "OnDemand"
) -> tuple[dict[str, Any], ...]:
    spot = "Spot Preemptible " if usage == "Preemptible" else ""
    gpu = " attached to Spot Preemptible VMs" if spot else ""
    return (
        sku(f"{spot}N1 Predefined Instance Core running in Americas", 31_611_000, usage, region),
        sku(f"{spot}N1 Predefined Instance Ram running in Americas", 4_237_000, usage, region),
        sku(f"Nvidia Tesla {name} GPU{gpu} running in Americas", 350_000_000, usage, region),
    )


@pytest.mark.parametrize("spot", [False, True])
def test_a_machine_with_gpus_attached_costs_both(spot: bool) -> None:
    types = gcp.machine_types([google("n1-standard-8", 8, 30720)])
    usage = "Preemptible" if spot else "OnDemand"
    found = gcp.prices(types, attached("T4", usage=usage), "us-east1", TODAY, spot=spot)
    machine = 8 * 31_611 + 30 * 4_237
    assert {it: found.uusd_per_hour.get(it) for it in ("n1-standard-8", "n1-standard-8+2xt4")} == {
        "n1-standard-8": machine,
        "n1-standard-8+2xt4": machine + 2 * 350_000,
    }
    assert "n1-standard-8+1xv100" not in found.uusd_per_hour  # its GPU has no price
    assert gcp.prices(types, attached("T4", usage=usage), "us-east1", TODAY, spot=not spot) == (
        PriceList("us-east1", not spot, TODAY, gcp.SOURCE, {})
    )


def test_gpus_are_offered_where_they_are_and_as_many_as_a_machine_may_have() -> None:
    told = [
        google(name, cpus, cpus * 3840, zone)
        for name, cpus in (("n1-standard-8", 8), ("n1-standard-64", 64))
        for zone in ("us-east1-b", "us-east1-c", "us-east1-d")
    ]
    gpus = [
        {"name": "nvidia-tesla-t4", "zone": "us-east1-c", "maximumCardsPerInstance": 4},
        {"name": "nvidia-tesla-t4", "zone": "us-east1-d", "maximumCardsPerInstance": 2},
        {"name": "nvidia-tesla-t4-vws", "zone": "us-east1-b", "maximumCardsPerInstance": 4},
    ]
    place = gcp.offered("us-east1", told, gpus)
    where = {it.name: place.zones_of(it) for it in gcp.machine_types(told) if it.gpu}
    assert {name: zones for name, zones in where.items() if zones} == {
        "n1-standard-8+1xt4": ("us-east1-c", "us-east1-d"),
        "n1-standard-8+2xt4": ("us-east1-c", "us-east1-d"),
        "n1-standard-8+4xt4": ("us-east1-c",),
        "n1-standard-64+4xt4": ("us-east1-c",),
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcpDouble]:
    """With a login of it in this environment."""
    zones = ("us-east1-b", "us-east1-c", "us-central1-a")
    types = [("n2-standard-4", 4, 16384), ("n1-standard-8", 8, 30720)]
    knobs = Knobs(page=2)
    knobs.machine_types = {
        zone: [{"name": name, "guestCpus": n, "memoryMb": mib} for name, n, mib in types]
        for zone in zones
    }
    free = {"startUsageAmount": 0, "unitPrice": {"units": "0", "nanos": 0}}
    address = sku("External IP Charge on a Standard VM", 5_000_000, region="global")
    address["pricingInfo"][0]["pricingExpression"]["tieredRates"].insert(0, free)
    knobs.skus = [
        *SKUS,
        *attached("T4"),
        sku("Balanced PD Capacity", 100_000_000),
        sku("Regional Balanced PD Capacity", 200_000_000),
        sku("Balanced PD Capacity in Frankfurt", 120_000_000, region="europe-west3"),
        address,
    ]
    with GcpDouble(Compute(knobs)) as double:
        (tmp_path / "login.json").write_text(json.dumps(login(double.account.endpoint)))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "login.json"))
        yield double
    assert double.faults == []


def test_googles_catalog_is_read_page_by_page_through_its_own_login(
    project: GcpDouble, tmp_path: Path
) -> None:
    found = gcp.fetch(project.account, "us-east1", TODAY)
    files.keep(tmp_path / "refreshed", "us-east1", found)
    offers = Catalog(tmp_path / "refreshed").offers(Cloud.GCP, "us-east1")
    t4 = [it for it in offers if it.machine_type == "n1-standard-8+1xt4"]
    assert {(it.zone, it.spot, it.price_uusd_per_hour) for it in t4} == {
        ("us-east1-c", False, 8 * 31_611 + 30 * 4_237 + 350_000),
        ("us-east1-c", True, None),  # not told, so not known
    }
    assert {(it.source, it.disk_uusd_per_gib_month, it.address_uusd_per_hour) for it in t4} == {
        (gcp.SOURCE, 100_000, 5_000),
        ("", 100_000, 5_000),
    }
    assert {it.zone for it in offers if it.machine_type == "n2-standard-4"} == {
        "us-east1-b",
        "us-east1-c",
    }
    assert project.compute.calls.count("skus.list") > 2


def test_a_catalog_that_google_does_not_tell_is_the_clouds_error(project: GcpDouble) -> None:
    project.compute.knobs.forbidden = frozenset({"acceleratorTypes.aggregatedList"})
    with pytest.raises(CloudError, match=r"403.*") as caught:
        gcp.fetch(project.account, "us-east1", TODAY)
    assert "compute.acceleratorTypes.list" in caught.value.hint


def sold(
    service: str, attributes: dict[str, str], unit: str, usd: str, family: str = ""
) -> dict[str, Any]:
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
    product = {"attributes": {"regionCode": "us-east-1", **attributes}}
    return {
        "serviceCode": service,
        "product": product | ({"productFamily": family} if family else {}),
        "terms": {"OnDemand": {"X.Y": {"priceDimensions": {"X.Y.Z": dimension}}}},
    }


def machine(name: str, usd: str, **more: str) -> dict[str, Any]:
    asked = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA"}
    attributes = {"instanceType": name, **asked, "capacitystatus": "Used", **more}
    return sold("AmazonEC2", attributes, "Hrs", usd, "Compute Instance")


@pytest.mark.long
def test_amazons_catalog_is_read_through_its_own_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    address = {"usagetype": "USE1-PublicIPv4:InUseAddress"}
    knobs = AwsKnobs(
        products=[
            machine("m7i.xlarge", "0.2016"),
            machine("m7i.2xlarge", "0.4032"),
            machine("m7i.xlarge", "0.9", operatingSystem="Windows"),
            machine("c7g.xlarge", "0.7", regionCode="eu-west-1"),
            sold("AmazonEC2", {"volumeApiName": "gp2"}, "GB-Mo", "0.10", "Storage"),
            sold("AmazonEC2", {"volumeApiName": "gp3"}, "GB-Mo", "0.08", "Storage"),
            sold("AmazonVPC", {"usagetype": "USE1-VpcEndpoint-Hours"}, "Hrs", "0.01"),
            sold("AmazonVPC", address, "Hrs", "0.005"),
        ]
    )
    with AwsDouble(knobs, prepared=False) as double:
        found = aws.fetch(double.account, "us-east-1", TODAY)
    assert found.prices[0].uusd_per_hour == {"m7i.xlarge": 201_600, "m7i.2xlarge": 403_200}
    files.keep(tmp_path, "us-east-1", found)
    catalog = Catalog(tmp_path)
    offers = catalog.offers(Cloud.AWS, "us-east-1")
    [asked, *_] = [it for it in offers if it.machine_type == "m7i.xlarge" and not it.spot]
    assert (asked.price_uusd_per_hour, asked.source) == (201_600, aws.PRICE_LIST)
    assert (asked.disk_uusd_per_gib_month, asked.address_uusd_per_hour) == (80_000, 5_000)
    assert any(it.spot and it.source == aws.SPOT_HISTORY for it in offers)
    spot = [it for it in offers if it.spot and it.machine_type == "m7i.xlarge"]
    assert {it.zone for it in spot} <= {it.zone for it in offers if not it.spot}


def test_amazon_without_a_login_is_the_clouds_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    account = AwsAccount("123456789012", "us-east-1", endpoint="http://127.0.0.1:9")
    with pytest.raises(CloudError, match="credentials"):
        aws.fetch(account, "us-east-1", TODAY)

"""What the clouds' own APIs say, in their documented shapes, as facts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shoal.clouds.catalog import files
from shoal.clouds.catalog.facts import MachineType, Region
from shoal.clouds.catalog.fetch import aws, azure, gcp
from shoal.errors import CloudError
from shoal.wire.specs import Cloud
from tests.doubles.azure.arm import Arm
from tests.doubles.azure.server import AzureDouble, prepared

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
        self.asked.append(self.path)
        link = None if second else f"http://127.0.0.1:{self.server.server_address[1]}/2"
        page = {"Items": PAGES["2" if second else ""], "NextPageLink": link}
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
    assert "armRegionName" in Retail.asked[0]


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

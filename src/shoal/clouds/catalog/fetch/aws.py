"""EC2's types and zones as this account has them, the Price List, and spot prices of now.

The Price List is asked in us-east-1, where its API is; spot prices are the newest of each zone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import boto3
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from shoal.clouds.catalog.facts import Facts, MachineType, PriceList, Region, extra_price
from shoal.errors import CloudError
from shoal.wire.accounts import AwsAccount
from shoal.wire.specs import Cloud

PRICE_LIST, SPOT_HISTORY = "AWS Price List", "EC2 spot price history"
_MACHINES = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
_DISKS = {"productFamily": "Storage", "volumeApiName": "gp3"}
_ADDRESS = "PublicIPv4:InUseAddress"  # ends its usage type, after the region's code


def fetch(account: AwsAccount, region: str, today: date) -> Facts:
    session = boto3.Session(profile_name=account.profile or None)
    endpoint = account.endpoint or None
    try:
        ec2 = session.client("ec2", region_name=region, endpoint_url=endpoint)
        pricing = session.client("pricing", region_name="us-east-1", endpoint_url=endpoint)
        types = machine_types(_pages(ec2, "describe_instance_types", "InstanceTypes"))
        place = offered(
            region,
            _pages(
                ec2,
                "describe_instance_type_offerings",
                "InstanceTypeOfferings",
                LocationType="availability-zone",
            ),
        )
        spot = spot_prices(region, today, _spot_history(ec2))
        asked = on_demand_prices(region, today, _products(pricing, "AmazonEC2", region, _MACHINES))
        disk = price(_products(pricing, "AmazonEC2", region, _DISKS), "GB-Mo")
        address = price(_products(pricing, "AmazonVPC", region, {}), "Hrs", usage=_ADDRESS)
    except (BotoCoreError, ClientError) as error:
        raise CloudError(
            f"AWS did not tell its types and prices: {error}",
            hint="The login needs ec2:Describe… and pricing:GetProducts.",
        ) from error
    extra = extra_price(region, today, PRICE_LIST, disk, address)
    return Facts(Cloud.AWS, today, "EC2", types, (place,), (asked, *spot), extra)


def machine_types(told: Iterable[Mapping[str, Any]]) -> tuple[MachineType, ...]:
    """Of DescribeInstanceTypes; metal and Macs are left out."""
    return tuple(
        machine_type(it)
        for it in told
        if not it["BareMetal"] and not it["InstanceType"].startswith("mac")
    )


def machine_type(it: Mapping[str, Any]) -> MachineType:
    gpus = it.get("GpuInfo", {}).get("Gpus", [])
    storage = it.get("InstanceStorageInfo", {})
    nvme = storage.get("NvmeSupport") == "required"
    return MachineType(
        it["InstanceType"],
        it["InstanceType"].split(".")[0],
        "x86_64" if "x86_64" in it["ProcessorInfo"]["SupportedArchitectures"] else "aarch64",
        it["VCpuInfo"]["DefaultVCpus"],
        it["MemoryInfo"]["SizeInMiB"],
        gpu=sum(gpu["Count"] for gpu in gpus),
        gpu_type=gpus[0]["Name"] if gpus else "",
        scratch_gib=storage.get("TotalSizeInGB", 0) if nvme else 0,
        burstable=it["BurstablePerformanceSupported"],
        current=it["CurrentGeneration"],
        spot="spot" in it["SupportedUsageClasses"],
    )


def offered(region: str, told: Iterable[Mapping[str, Any]]) -> Region:
    letters: dict[str, set[str]] = defaultdict(set)
    zones = set()
    for it in told:
        zones.add(it["Location"])
        letters[it["InstanceType"]].add(it["Location"][-1])
    exceptions = {name: "".join(sorted(where)) for name, where in sorted(letters.items())}
    return Region(region, tuple(sorted(zones)), {}, exceptions)


def on_demand_prices(region: str, today: date, products: Iterable[str]) -> PriceList:
    """Of GetProducts: each product is a JSON text."""
    found: dict[str, int] = {}
    for attributes, uusd in _priced(products, "Hrs"):
        found[attributes["instanceType"]] = uusd
    return PriceList(region, False, today, PRICE_LIST, found)


def price(products: Iterable[str], unit: str, *, usage: str = "") -> int | None:
    """Micro-dollars a unit of the first product of that usage; None: there is none."""
    return next(
        (uusd for it, uusd in _priced(products, unit) if it.get("usagetype", "").endswith(usage)),
        None,
    )


def _priced(products: Iterable[str], unit: str) -> Iterator[tuple[Mapping[str, str], int]]:
    """Attributes and price on demand; what costs nothing is left out."""
    for text in products:
        product = msgspec.json.decode(text)
        for term in product["terms"].get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                usd = float(dimension["pricePerUnit"].get("USD", 0))
                if dimension["unit"] == unit and usd > 0:
                    yield product["product"]["attributes"], round(usd * 1_000_000)


def spot_prices(
    region: str, today: date, told: Iterable[Mapping[str, Any]]
) -> tuple[PriceList, ...]:
    zones: dict[str, dict[str, int]] = defaultdict(dict)
    for it in sorted(told, key=lambda it: it["Timestamp"]):
        zones[it["AvailabilityZone"]][it["InstanceType"]] = round(
            float(it["SpotPrice"]) * 1_000_000
        )
    return tuple(
        PriceList(region, True, today, SPOT_HISTORY, found, zone)
        for zone, found in sorted(zones.items())
    )


def _pages(client: Any, call: str, field: str, **asked: object) -> Iterable[Mapping[str, Any]]:
    for page in client.get_paginator(call).paginate(**asked):
        yield from page[field]


def _spot_history(client: Any) -> Iterable[Mapping[str, Any]]:
    return _pages(
        client,
        "describe_spot_price_history",
        "SpotPriceHistory",
        StartTime=datetime.now(UTC),  # the price that holds now, of each type and zone
        ProductDescriptions=["Linux/UNIX"],
    )


def _products(client: Any, service: str, region: str, asked: Mapping[str, str]) -> Iterable[str]:
    filters = [
        {"Type": "TERM_MATCH", "Field": field, "Value": value}
        for field, value in {"regionCode": region, **asked}.items()
    ]
    pages = client.get_paginator("get_products")
    for page in pages.paginate(ServiceCode=service, Filters=filters):
        yield from page["PriceList"]

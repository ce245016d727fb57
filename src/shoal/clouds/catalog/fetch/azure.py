"""Sizes and zones by Azure's Resource SKUs, with the login; prices by Azure Retail Prices, public.

Windows and low-priority meters are left out. A GiB of disk costs the 128th part of 128 GiB of
it, as in other sizes nearly too. (prices.azure.com/api/retail/prices, read 2026-11.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime

import httpx2
import msgspec

from shoal.clouds.azure import sizes
from shoal.clouds.azure.clients import Clients, Trust
from shoal.clouds.catalog.facts import ExtraPrice, Facts, PriceList, extra_price
from shoal.errors import CloudError
from shoal.wire.accounts import AzureAccount

SOURCE = "Azure Retail Prices"
_URL = "https://prices.azure.com/api/retail/prices"
_TIMEOUT_S = 30.0
_DISK, _DISK_GIB, _ADDRESS = "E10 LRS Disk", 128, "Standard IPv4 Static Public IP"
_MACHINES = "serviceName eq 'Virtual Machines'"
_DISKS = f"productName eq 'Standard SSD Managed Disks' and meterName eq '{_DISK}'"
_ADDRESSES = f"productName eq 'IP Addresses' and meterName eq '{_ADDRESS}'"


class Item(msgspec.Struct, frozen=True, rename="camel"):
    arm_sku_name: str
    sku_name: str
    product_name: str
    retail_price: float
    unit_of_measure: str
    currency_code: str = "USD"
    meter_name: str = ""


class Page(msgspec.Struct, frozen=True):
    items: tuple[Item, ...] = msgspec.field(name="Items")
    next_page: str | None = msgspec.field(name="NextPageLink", default=None)


def fetch(
    account: AzureAccount,
    region: str,
    today: date,
    *,
    url: str = _URL,
    trust: Trust | None = None,
) -> Facts:
    clients = Clients(account, clock=lambda: datetime.now(UTC), trust=trust)
    found = sizes.facts(clients, region, today)
    items = list(_items(_MACHINES, region, url))
    lists = tuple(prices(items, region, today, spot=spot) for spot in (False, True))
    others = [*_items(_DISKS, region, url), *_items(_ADDRESSES, region, url)]
    return msgspec.structs.replace(found, prices=lists, extras=extras(others, region, today))


def prices(items: Iterable[Item], region: str, today: date, *, spot: bool) -> PriceList:
    found = {
        it.arm_sku_name: round(it.retail_price * 1_000_000)
        for it in items
        if it.currency_code == "USD"
        and it.unit_of_measure == "1 Hour"
        and "Windows" not in it.product_name
        and "Low Priority" not in it.sku_name
        and it.sku_name.endswith(" Spot") is spot
        and it.retail_price > 0
    }
    return PriceList(region, spot, today, SOURCE, found)


def extras(items: Iterable[Item], region: str, today: date) -> tuple[ExtraPrice, ...]:
    disk = address = None
    for it in items:
        told = it.currency_code == "USD" and it.retail_price > 0
        if told and (it.meter_name, it.unit_of_measure) == (_DISK, "1/Month"):
            disk = round(it.retail_price * 1_000_000 / _DISK_GIB)
        elif told and (it.meter_name, it.unit_of_measure) == (_ADDRESS, "1 Hour"):
            address = round(it.retail_price * 1_000_000)
    return extra_price(region, today, SOURCE, disk, address)


def _items(what: str, region: str, url: str) -> Iterator[Item]:
    asked = f"{what} and armRegionName eq '{region}' and priceType eq 'Consumption'"
    page = _page(url, {"$filter": asked})
    yield from page.items
    while page.next_page:
        page = _page(page.next_page, None)
        yield from page.items


def _page(url: str, query: dict[str, str] | None) -> Page:
    try:
        answer = httpx2.get(url, params=query, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=Page)
    except (httpx2.HTTPError, msgspec.DecodeError) as error:
        raise CloudError(f"{SOURCE} did not answer: {error}", hint="Try again later.") from error

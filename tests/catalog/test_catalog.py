"""The catalog: what it says of places and prices, and that a refresh's newer facts win."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from shoal.clouds.catalog import CLOUDS, Catalog, files
from shoal.clouds.catalog.facts import Facts, MachineType, PriceList, Region
from shoal.core.records import Offer
from shoal.wire.specs import Cloud

HOME = {Cloud.GCP: "us-east1", Cloud.AWS: "us-east-1", Cloud.AZURE: "eastus"}
MOST_BYTES = 300_000
TODAY = date(2999, 1, 1)


def one(offers: tuple[Offer, ...], name: str, *, spot: bool = False) -> Offer:
    return next(it for it in offers if it.machine_type == name and it.spot is spot)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_snapshot_offers_each_type_in_each_of_its_zones_once(cloud: Cloud) -> None:
    offers = Catalog().offers(cloud, HOME[cloud])
    pools = [(it.zone, it.machine_type, it.spot) for it in offers]
    assert len(pools) == len(set(pools)) > 300
    assert len({it.zone for it in offers}) >= 3


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_price_has_a_source_and_a_date_and_no_price_has_neither(cloud: Cloud) -> None:
    offers = Catalog().offers(cloud, HOME[cloud])
    assert any(it.price_uusd_per_hour for it in offers)
    for it in offers:
        known = it.price_uusd_per_hour is not None
        assert known == bool(it.source) == (it.as_of is not None)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_spot_is_never_dearer_than_on_demand(cloud: Cloud) -> None:
    offers = Catalog().offers(cloud, HOME[cloud])
    asked = {(it.zone, it.machine_type): it.price_uusd_per_hour for it in offers if not it.spot}
    for it in offers:
        dear = asked[it.zone, it.machine_type]
        if it.spot and it.price_uusd_per_hour is not None and dear is not None:
            assert it.price_uusd_per_hour <= dear


def test_the_snapshot_is_small_and_one_item_a_line() -> None:
    directory = Path(files.__file__).parent / "snapshot"
    assert sum(path.stat().st_size for path in directory.iterdir()) < MOST_BYTES
    for path in directory.glob("*.json"):
        assert files.text(files.snapshot(Cloud(path.stem))) == path.read_bytes()


def test_another_regions_price_is_not_guessed() -> None:
    known = one(Catalog().offers(Cloud.GCP, "us-east1"), "e2-standard-4")
    elsewhere = one(Catalog().offers(Cloud.GCP, "europe-west1"), "e2-standard-4")
    assert known.price_uusd_per_hour == 134_000
    assert elsewhere.price_uusd_per_hour is None


def test_an_unknown_region_and_a_cloud_without_a_catalog_offer_nothing() -> None:
    assert Catalog().offers(Cloud.GCP, "mars-1") == ()
    assert Catalog().offers(Cloud.LOCAL, "local") == ()


def refresh(as_of: date, price: int, region: str = "us-east1") -> Facts:
    return Facts(
        Cloud.GCP,
        as_of,
        "Compute API",
        types=(MachineType("n9-standard-4", "n9", "x86_64", 4, 16384),),
        regions=(Region(region, (f"{region}-b",), {"n9": "*", "e2": "*"}),),
        prices=(PriceList(region, False, as_of, "Billing", {"e2-standard-4": price}),),
    )


def test_what_a_refresh_found_is_newer_and_wins_for_its_region_only(tmp_path: Path) -> None:
    files.keep(tmp_path, "us-east1", refresh(TODAY, 7))
    catalog = Catalog(tmp_path)
    offers = catalog.offers(Cloud.GCP, "us-east1")
    assert {it.zone for it in offers} == {"us-east1-b"}
    assert one(offers, "n9-standard-4").price_uusd_per_hour is None
    assert one(offers, "e2-standard-4").price_uusd_per_hour == 7
    age = catalog.age(Cloud.GCP, "us-east1")
    assert age is not None
    assert age.source == "Compute API"
    assert catalog.offers(Cloud.GCP, "us-west1") == Catalog().offers(Cloud.GCP, "us-west1")


def test_what_is_older_than_the_snapshot_loses(tmp_path: Path) -> None:
    files.keep(tmp_path, "us-east1", refresh(date(2001, 1, 1), 7))
    assert Catalog(tmp_path).offers(Cloud.GCP, "us-east1") == Catalog().offers(
        Cloud.GCP, "us-east1"
    )


def test_a_damaged_file_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    (tmp_path / "gcp.us-east1.json").write_text("{")
    assert Catalog(tmp_path).offers(Cloud.GCP, "us-east1")


def test_a_spot_price_of_one_zone_is_of_that_zone(tmp_path: Path) -> None:
    lists = (PriceList("us-east-1", True, TODAY, "history", {"m5.large": 5}, "us-east-1a"),)
    files.keep(tmp_path, "us-east-1", Facts(Cloud.AWS, TODAY, "EC2", prices=lists))
    offers = Catalog(tmp_path).offers(Cloud.AWS, "us-east-1")
    prices = {
        it.zone: it.price_uusd_per_hour
        for it in offers
        if it.spot and it.machine_type == "m5.large"
    }
    assert prices["us-east-1a"] == 5
    assert prices["us-east-1b"] == 43_660


def test_shapes_agree_with_a_source_that_they_did_not_come_from() -> None:
    """EC2's shapes are moto's; apache-libcloud keeps its own. (Its prices are wrong, its shapes
    are right.) Old types whose memory libcloud rounds are not compared."""
    libcloud = pytest.importorskip("libcloud.compute.constants.ec2_instance_types")
    ours = {it.name: it for it in files.snapshot(Cloud.AWS).types}
    compared = 0
    for name, theirs in libcloud.INSTANCE_TYPES.items():
        it = ours.get(name)
        if it is None or not re.fullmatch(r"[cmr][5-7]\w*\.\d*x?large", name):
            continue
        compared += 1
        assert it.memory_mib == theirs["ram"], name
        assert it.vcpu == int(theirs["extra"]["vcpu"]), name
    assert compared > 50

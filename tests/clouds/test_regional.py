"""Settings that differ by region."""

from __future__ import annotations

import msgspec
import pytest

from shoal.cli.setup import changed
from shoal.clouds import regional
from shoal.errors import InvalidRequest
from shoal.wire.accounts import AwsAccount, CloudAccount, GcpAccount


def test_one_value_is_the_home_regions_and_a_named_one_its_own() -> None:
    assert regional.of("vpc-1", "us-east-1", home="us-east-1") == "vpc-1"
    assert regional.of("vpc-1", "eu-west-1", home="us-east-1") == ""
    both = "us-east-1=vpc-1, eu-west-1=vpc-2"
    assert regional.of(both, "eu-west-1", home="us-east-1") == "vpc-2"
    assert regional.of(both, "us-west-2", home="us-east-1") == ""


@pytest.mark.parametrize("setting", ["a=", "=vpc-1", "a=vpc-1,vpc-2", "a=b=c", "a=1,a=2"])
def test_what_names_nothing_of_a_region_is_refused_with_its_form(setting: str) -> None:
    account = AwsAccount("123456789012", "us-east-1")
    with pytest.raises(InvalidRequest) as refused:
        changed(account, None, [f"vpc={setting}"])
    assert "REGION=VALUE,REGION=VALUE" in refused.value.hint


def test_googles_networks_are_in_all_regions() -> None:
    with pytest.raises(InvalidRequest) as refused:
        changed(GcpAccount("p", "us-east1"), None, ["subnet=us-east1=workers"])
    assert "one name in each" in refused.value.hint


def test_an_account_that_was_stored_before_there_were_subnets_is_read() -> None:
    stored = b'{"type":"aws","account":"123456789012","region":"us-east-1","vpc":"vpc-1"}'
    found = msgspec.json.decode(stored, type=CloudAccount)
    assert found == AwsAccount("123456789012", "us-east-1", vpc="vpc-1")

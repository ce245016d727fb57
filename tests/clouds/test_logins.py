"""Whose the login on this machine is, as the vendors' own tools left it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from moto import mock_aws

from shoal.clouds.logins import discover, examined
from shoal.clouds.logins.missing import Missing, NotSaid
from shoal.errors import NotPossible
from shoal.wire.accounts import AwsAccount, AzureAccount, GcpAccount
from shoal.wire.specs import Cloud

PROFILE = {
    "subscriptions": [
        {"id": "s-1", "name": "one", "isDefault": False},
        {"id": "s-2", "name": "two", "isDefault": True},
    ]
}
USER = {
    "type": "authorized_user",
    "client_id": "c",
    "client_secret": "s",
    "refresh_token": "r",
    "quota_project_id": "ours",
}


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    (tmp_path / "azureProfile.json").write_text(json.dumps(PROFILE), encoding="utf-8-sig")
    (tmp_path / "config").write_text("[defaults]\nlocation = westeurope\n")
    return tmp_path


def test_azures_default_subscription_and_location_are_taken(azure: Path) -> None:
    assert discover(Cloud.AZURE, None, None) == AzureAccount("s-2", "westeurope")


def test_what_is_named_wins(azure: Path) -> None:
    assert discover(Cloud.AZURE, "one", "eastus") == AzureAccount("s-1", "eastus")


def test_another_subscription_is_refused_with_those_there_are(azure: Path) -> None:
    with pytest.raises(NotPossible) as refused:
        discover(Cloud.AZURE, "three", None)
    assert "two" in refused.value.hint


def test_without_a_login_to_azure_the_command_is_told(azure: Path) -> None:
    (azure / "azureProfile.json").unlink()
    with pytest.raises(NotPossible) as refused:
        discover(Cloud.AZURE, None, None)
    assert refused.value.hint == "az login"


def test_one_of_several_subscriptions_has_to_be_named(azure: Path) -> None:
    told = [{**it, "isDefault": False} for it in PROFILE["subscriptions"]]
    (azure / "azureProfile.json").write_text(json.dumps({"subscriptions": told}))
    with pytest.raises(NotSaid) as refused:
        discover(Cloud.AZURE, None, None)
    assert (refused.value.missing, refused.value.known) == (Missing.OWNER, ("one", "two"))
    assert "--owner" in refused.value.hint


@pytest.fixture
def gcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_COMPUTE_REGION", "CLOUDSDK_ACTIVE_CONFIG_NAME"):
        monkeypatch.delenv(name, raising=False)
    login = tmp_path / "login.json"
    login.write_text(json.dumps(USER))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(login))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "ours")
    (tmp_path / "configurations").mkdir()
    (tmp_path / "configurations" / "config_default").write_text("[compute]\nregion = us-west1\n")
    return tmp_path


def test_googles_project_is_the_logins_and_the_region_gclouds(gcp: Path) -> None:
    assert discover(Cloud.GCP, None, None) == GcpAccount("ours", "us-west1")
    assert discover(Cloud.GCP, "theirs", "us-east1") == GcpAccount("theirs", "us-east1")


def test_without_a_region_it_has_to_be_named(gcp: Path) -> None:
    (gcp / "configurations" / "config_default").unlink()
    with pytest.raises(NotPossible) as refused:
        discover(Cloud.GCP, None, None)
    assert "--region" in refused.value.hint


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")


def test_awss_account_is_whose_the_login_is(aws: None) -> None:
    with mock_aws():
        found = discover(Cloud.AWS, None, None)
        with pytest.raises(NotPossible, match="not of 999999999999"):
            discover(Cloud.AWS, "999999999999", None)
    assert found == AwsAccount("123456789012", "eu-west-1")


@pytest.mark.parametrize("account", [GcpAccount("ours", "us-east1"), AzureAccount("s-1", "eastus")])
def test_an_account_is_examined_by_its_own_cloud(account: GcpAccount | AzureAccount) -> None:
    made = examined(account)
    assert made.account == account
    assert made.permissions

"""What `shoal setup` asks for, and that it never asks where nobody is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from shoal.cli import asking
from shoal.clouds.logins.missing import NotSaid
from shoal.errors import InvalidRequest
from shoal.wire.accounts import AzureAccount, GcpAccount
from shoal.wire.specs import Cloud


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logins to Google Cloud and to Azure that say neither whose account nor which region."""
    user = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    (tmp_path / "login.json").write_text(json.dumps(user))
    told = [{"id": f"s-{it}", "name": it, "isDefault": False} for it in ("one", "two")]
    (tmp_path / "azureProfile.json").write_text(json.dumps({"subscriptions": told}))
    for name in ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_COMPUTE_REGION", "AZURE_DEFAULTS_LOCATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "login.json"))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))


class Person:
    def __init__(self, *answers: str) -> None:
        self._answers = iter(answers)
        self.asked: list[tuple[str, Sequence[str]]] = []

    def __call__(self, question: str, known: Sequence[str]) -> str:
        self.asked.append((question, known))
        return next(self._answers)


def test_what_the_login_does_not_say_is_asked(login: None) -> None:
    ann = Person("ours", "us-east1")
    assert asking.discovered(Cloud.GCP, None, None, ann) == GcpAccount("ours", "us-east1")
    (project, any_), (region, regions) = ann.asked
    assert project == "The login names no project. Project"
    assert any_ == ()
    assert region == "gcloud has no default region. Region"
    assert "us-east1" in regions


def test_what_was_named_is_not_asked_again(login: None) -> None:
    ann = Person("two")
    assert asking.discovered(Cloud.AZURE, None, "eastus", ann) == AzureAccount("s-two", "eastus")
    assert ann.asked == [
        ("No subscription of the login is the default one. Subscription", ("one", "two"))
    ]


def test_without_a_terminal_the_error_says_which_option_to_give(login: None) -> None:
    with pytest.raises(NotSaid) as refused:
        asking.discovered(Cloud.GCP, "ours", None, None)
    assert refused.value.hint == "Name one: --region us-east1"


def test_an_answer_that_cannot_be_is_asked_again_with_what_is_near() -> None:
    @click.command
    def command() -> None:
        click.echo(f"got {asking._on_terminal('Region', ('us-east1', 'us-west1'))}")

    told = CliRunner().invoke(command, input="us-eastt1\nus-east1\n")
    assert "There is no 'us-eastt1'. There are: us-east1" in told.output
    assert "got us-east1" in told.stdout


@pytest.mark.parametrize(
    ("typed", "status", "told"), [("n\n", 1, "Nothing was done"), ("y\n", 0, ""), ("", 1, "Abort")]
)
def test_a_no_is_no_interruption(typed: str, status: int, told: str) -> None:
    @click.command
    def command() -> None:
        asking.confirmed("Make it?", there=True)

    ran = CliRunner().invoke(command, input=typed)
    assert ran.exit_code == status
    assert told in ran.output


def test_nobody_who_could_answer_is_a_mistake_with_the_flag_to_give() -> None:
    with pytest.raises(InvalidRequest, match="Nobody") as refused:
        asking.confirmed("Make it?", there=False)
    assert "--yes" in refused.value.hint

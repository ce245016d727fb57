"""Logins as the clouds' own SDKs find them, against servers of this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.server import ThreadedMotoServer

from shoal.client.credentials.aws import AwsLogin
from shoal.client.credentials.azure import MANAGEMENT, STORAGE, AzureLogin
from shoal.client.credentials.gcp import GcpLogin
from shoal.errors import NotPossible

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

NOTHING: frozenset[str] = frozenset()
VAULT = "https://vault.azure.net"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(autouse=True)
def _no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def sts() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Json(BaseHTTPRequestHandler):
    def tell(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None: ...


# -- AWS -------------------------------------------------------------------------------------------


def test_a_long_lived_key_stays_here_and_a_session_token_goes(
    sts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIALONGLIVED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the long-lived secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    found = AwsLogin().read(now(), NOTHING)
    assert "the long-lived secret" not in str(found.content)
    assert found.content["session_token"]
    assert found.content["region"] == "eu-west-1"
    assert found.identity.startswith("arn:aws:")
    assert timedelta(hours=11) < found.expires_at - now() <= timedelta(hours=12)


def test_temporary_credentials_go_as_they_are(sts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client(
        "sts",
        endpoint_url=sts,
        region_name="us-east-1",
        aws_access_key_id="AKIA1",
        aws_secret_access_key="x",
    )
    arn = "arn:aws:iam::123456789012:role/tides"
    told = client.assume_role(RoleArn=arn, RoleSessionName="ann")["Credentials"]
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", told["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", told["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", told["SessionToken"])
    found = AwsLogin().read(now(), NOTHING)
    assert found.content["access_key_id"] == told["AccessKeyId"]
    assert found.content["session_token"] == told["SessionToken"]
    assert found.identity == "arn:aws:sts::123456789012:assumed-role/tides/ann"
    assert found.content["account"] == "123456789012"
    assert timedelta(minutes=59) < found.expires_at - now() <= timedelta(hours=1)  # a lease


def test_temporary_credentials_go_also_where_sts_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIA1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    found = AwsLogin().read(now(), NOTHING)
    assert found.identity == "access key ASIA1"
    assert found.content["session_token"] == "token"


def test_a_profile_that_would_ask_for_a_code_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(
        "[profile tides]\nrole_arn = arn:aws:iam::1:role/tides\nsource_profile = default\n"
        "mfa_serial = arn:aws:iam::1:mfa/ann\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "tides")
    with pytest.raises(NotPossible, match="MFA"):
        AwsLogin().read(now(), NOTHING)


def test_no_login_to_aws_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotPossible, match="no credentials"):
        AwsLogin().read(now(), NOTHING)
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(NotPossible, match="missing"):
        AwsLogin().read(now(), NOTHING)


# -- Google ----------------------------------------------------------------------------------------


def test_a_service_accounts_key_stays_here_and_a_token_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tokens(Json):
        given = 0

        def do_POST(self) -> None:
            type(self).given += 1
            self.tell({"access_token": f"ya29.{self.given}", "expires_in": 3599})

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with serving(Tokens) as url:
        account = {
            "type": "service_account",
            "project_id": "shoal-tides",
            "private_key": key.decode(),
            "client_email": "tides@shoal.iam.gserviceaccount.com",
            "token_uri": f"{url}/token",
        }
        (tmp_path / "key.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        login = GcpLogin()
        found, again = login.read(now(), NOTHING), login.read(now(), NOTHING)
    assert (found.content["access_token"], again.content["access_token"]) == ("ya29.1", "ya29.2")
    assert found.identity == found.content["email"] == "tides@shoal.iam.gserviceaccount.com"
    assert found.content["project"] == "shoal-tides"
    assert found.content["universe"] == "googleapis.com"
    assert "PRIVATE KEY" not in str(found.content)
    assert timedelta(minutes=55) < found.expires_at - now() <= timedelta(hours=1)


def test_a_users_credentials_tell_whose_they_are_by_their_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Google(Json):
        def do_POST(self) -> None:
            sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if self.path == "/token":
                self.tell({"access_token": f"of {sent['refresh_token'][0]}", "expires_in": 3599})
            elif sent["access_token"] == ["of ann"]:
                self.tell({"email": "ann@example.com"})

    user = {
        "type": "authorized_user",
        "client_id": "x",
        "client_secret": "x",
        "refresh_token": "ann",
        "quota_project_id": "shoal-bills",
    }
    (tmp_path / "user.json").write_text(json.dumps(user))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "user.json"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "shoal-tides")
    with serving(Google) as url:
        monkeypatch.setattr(
            "google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{url}/token"
        )
        found = GcpLogin(token_information=f"{url}/tokeninfo").read(now(), NOTHING)
    assert found.identity == found.content["email"] == "ann@example.com"
    assert found.content["access_token"] == "of ann"
    assert found.content["quota_project"] == "shoal-bills"
    assert found.content["project"] == "shoal-tides"


def test_a_broken_login_to_google_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(NotPossible, match=r"none\.json"):
        GcpLogin().read(now(), NOTHING)


# -- Azure -----------------------------------------------------------------------------------------


class AppService(Json):
    """A managed identity's endpoint, where a session runs on one of Azure's services."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        [resource] = query["resource"]
        if self.headers["X-IDENTITY-HEADER"] != "open" or "forbidden" in resource:
            self.tell({"statusCode": 400, "message": f"no token for {resource}"}, 400)
            return
        until = str(int(time.time()) + 3600)
        token = f"for {resource}"
        self.tell({"access_token": token, "expires_on": until, "token_type": "Bearer"})


@pytest.fixture
def app_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serving(AppService) as url:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "open")
        yield


@pytest.mark.usefixtures("app_service")
def test_tokens_of_azure_are_for_storage_management_and_what_is_wanted() -> None:
    login = AzureLogin()
    assert set(login.read(now(), NOTHING).content["tokens"]) == {STORAGE, MANAGEMENT}
    found = login.read(now(), frozenset({VAULT, "https://forbidden.example"}))
    tokens = {it: token["token"] for it, token in found.content["tokens"].items()}
    assert tokens == {it: f"for {it}" for it in (STORAGE, MANAGEMENT, VAULT)}
    assert "no token for" in found.content["refused"]["https://forbidden.example"]
    assert timedelta(minutes=55) < found.expires_at - now() <= timedelta(hours=1)


def test_no_login_to_azure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # no az, no azd, no pwsh
    with pytest.raises(NotPossible):
        AzureLogin().read(now(), NOTHING)

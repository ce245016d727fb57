"""The clouds' own SDKs in a worker's process: they find what is forwarded, and renew it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import boto3
import msgspec
import pytest
from distributed import Client
from distributed.core import rpc
from distributed.security import Security
from moto.server import ThreadedMotoServer
from test_children import child, heard, scheduler, security, tell

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::ResourceWarning:distributed"),
]

HOUR_S, MINUTE_S = 3600.0, 60.0
STORAGE, VAULT = "https://storage.azure.com", "https://vault.azure.net"


class Cluster(NamedTuple):
    client: Client
    session: Any

    async def forward(self, cloud: str, content: dict[str, Any], for_s: float) -> None:
        held = {
            "cloud": cloud,
            "identity": "ann",
            "expires_at": time.time() + for_s,
            "content": content,
        }
        await self.session.shoal_credentials(sender="ann", held=[held])

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self.client.submit(function, *arguments, pure=False)


def run(
    scenario: Callable[[Cluster], Awaitable[None]],
    directory: Path,
    vm: dict[str, str] | None = None,
    **environ: str,
) -> None:
    """With Dask's two processes as an agent starts them."""
    for name in ("scheduler", "worker", "home"):
        (directory / name).mkdir(exist_ok=True)
    trust = security(directory)
    alone = {"HOME": str(directory / "home"), "AWS_EC2_METADATA_DISABLED": "true", **environ}
    with (
        child("scheduler_process", directory / "scheduler") as scheduling,
        child("worker_process", directory / "worker", **alone) as working,
    ):
        tell(scheduling, **{**scheduler(directory), "security": trust})
        address = heard(scheduling.stdout)["address"]
        worker = {
            "op": "worker",
            "scheduler": address,
            "name": "w-1",
            "host": "127.0.0.1",
            "nthreads": 1,
            "memory_limit_bytes": 0,
            "local_directory": str(directory / "worker"),
            "security": trust,
            "worker_class": "distributed.Worker",
            "options": {},
            **(vm or {}),
        }
        tell(working, **worker)
        assert heard(working.stdout)["op"] == "listening"

        async def live() -> None:
            known = Security(**msgspec.structs.asdict(_Trust(**trust)))
            async with (
                asyncio.timeout(90),
                Client(address, security=known, asynchronous=True) as client,
                rpc(address, connection_args=known.get_connection_args("client")) as session,
            ):
                await scenario(Cluster(client, session))

        asyncio.run(live())


class _Trust(msgspec.Struct):
    """Of what an agent tells, what a client has."""

    tls_ca_file: str
    tls_client_cert: str = ""
    tls_client_key: str = ""
    tls_scheduler_cert: str = ""
    tls_scheduler_key: str = ""
    tls_worker_cert: str = ""
    tls_worker_key: str = ""
    tls_min_version: int = 0
    require_encryption: bool = True


@pytest.fixture
def sts() -> Any:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def role(sts: str, name: str) -> dict[str, Any]:
    client = boto3.client(
        "sts",
        endpoint_url=sts,
        region_name="us-east-1",
        aws_access_key_id="AKIA1",
        aws_secret_access_key="long-lived",
    )
    arn = f"arn:aws:iam::123456789012:role/{name}"
    told = client.assume_role(RoleArn=arn, RoleSessionName="ann")["Credentials"]
    return {
        "access_key_id": told["AccessKeyId"],
        "secret_access_key": told["SecretAccessKey"],
        "session_token": told["SessionToken"],
        "account": "123456789012",
        "region": "us-east-1",
    }


def test_boto3_uses_them_and_renews_them_by_itself(sts: str, tmp_path: Path) -> None:
    def who() -> str:
        import boto3
        import distributed

        worker = distributed.get_worker()
        if not hasattr(worker, "made_once"):
            worker.made_once = boto3.client("sts")  # the region is forwarded too
        return str(worker.made_once.get_caller_identity()["Arn"])

    def who_in_another_process() -> str:
        import subprocess
        import sys

        code = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return done.stdout.strip() or done.stderr

    def refused() -> str:
        import boto3

        try:
            boto3.Session().client("sts", region_name="us-east-1").get_caller_identity()
        except Exception as error:
            return type(error).__name__
        return ""

    async def scenario(cluster: Cluster) -> None:
        await cluster.forward("aws", role(sts, "tides"), MINUTE_S)
        assert "assumed-role/tides/ann" in await cluster.run(who)
        await cluster.forward("aws", role(sts, "currents"), HOUR_S)
        assert "assumed-role/currents/ann" in await cluster.run(who)
        assert "assumed-role/currents/ann" in await cluster.run(who_in_another_process)
        await cluster.session.shoal_credentials_withdraw(sender="ann")
        assert await cluster.run(refused) == "NoCredentialsError"

    run(scenario, tmp_path, AWS_ENDPOINT_URL_STS=sts)


def test_what_is_forwarded_comes_before_a_login_in_files_of_the_vm(
    sts: str, tmp_path: Path
) -> None:
    (tmp_path / "home" / ".aws").mkdir(parents=True)
    (tmp_path / "home" / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = of-the-file\n"
    )

    def which() -> str:
        import boto3

        return str(boto3.Session().get_credentials().get_frozen_credentials().access_key)

    async def scenario(cluster: Cluster) -> None:
        assert await cluster.run(which) == "AKIAFILE"
        content = role(sts, "tides")
        await cluster.forward("aws", content, HOUR_S)
        assert await cluster.run(which) == content["access_key_id"]

    run(scenario, tmp_path, AWS_ENDPOINT_URL_STS=sts)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells who connects")
def test_google_auth_uses_them_and_renews_them_by_itself(tmp_path: Path) -> None:
    def import_it() -> str:
        from google.auth.compute_engine import _metadata

        return str(_metadata._GCE_METADATA_HOST)

    def header() -> dict[str, Any]:
        import distributed
        import google.auth
        from google.auth.transport.requests import Request

        worker = distributed.get_worker()
        if not hasattr(worker, "made_once"):
            worker.made_once = google.auth.default()
        credentials, project = worker.made_once
        headers: dict[str, str] = {}
        credentials.before_request(Request(), "GET", "https://storage.googleapis.com", headers)
        return {
            "token": headers["authorization"],
            "project": project,
            "email": credentials.service_account_email,
        }

    def content(token: str) -> dict[str, Any]:
        return {
            "access_token": token,
            "email": "tides@shoal.iam.gserviceaccount.com",
            "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
            "project": "shoal-tides",
            "quota_project": "",
            "universe": "googleapis.com",
        }

    async def scenario(cluster: Cluster) -> None:
        assert await cluster.run(import_it) == "metadata.google.internal"  # before any arrives
        await cluster.forward("gcp", content("first"), MINUTE_S)
        assert await cluster.run(header) == {
            "token": "Bearer first",
            "project": "shoal-tides",
            "email": "tides@shoal.iam.gserviceaccount.com",
        }
        await cluster.forward("gcp", content("second"), HOUR_S)
        assert (await cluster.run(header))["token"] == "Bearer second"
        await cluster.session.shoal_credentials_withdraw(sender="ann")
        assert await cluster.run(import_it) == "metadata.google.internal"

    run(scenario, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells who connects")
def test_on_a_vm_of_google_its_own_metadata_is_still_there(tmp_path: Path) -> None:
    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = b"of the vm: " + self.path.encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/text")
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, format: str, *arguments: object) -> None: ...

    def ask(what: str) -> str:
        from google.auth.compute_engine import _metadata
        from google.auth.transport.requests import Request

        return str(_metadata.get(Request(), what))

    async def scenario(cluster: Cluster) -> None:
        content = {"access_token": "ours", "project": "shoal-tides", "scopes": [], "email": ""}
        await cluster.forward("gcp", content, HOUR_S)
        assert await cluster.run(ask, "project/project-id") == "shoal-tides"
        zone = await cluster.run(ask, "instance/zone")
        assert zone == "of the vm: /computeMetadata/v1/instance/zone"

    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        metadata = f"http://127.0.0.1:{server.server_port}"
        run(scenario, tmp_path, {"cloud": "gcp", "metadata": metadata})
        server.shutdown()


def test_azure_identity_uses_them_renews_them_and_gets_those_it_wants(tmp_path: Path) -> None:
    def token(resource: str) -> str:
        import distributed
        from azure.identity import DefaultAzureCredential

        worker = distributed.get_worker()
        if not hasattr(worker, "made_once"):
            worker.made_once = DefaultAzureCredential()
        return str(worker.made_once.get_token(f"{resource}/.default").token)

    def refused(resource: str) -> str:
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import ManagedIdentityCredential

        try:
            ManagedIdentityCredential().get_token(f"{resource}/.default")
        except ClientAuthenticationError as error:
            return str(error)
        return ""

    def tokens(**named: str) -> dict[str, Any]:
        until = time.time() + (MINUTE_S if "first" in json.dumps(named) else HOUR_S)
        places = {"storage": STORAGE, "vault": VAULT}
        found = {places[it]: {"token": value, "expires_at": until} for it, value in named.items()}
        return {"tokens": found}

    async def scenario(cluster: Cluster) -> None:
        await cluster.forward("azure", tokens(storage="first"), MINUTE_S)
        assert await cluster.run(token, STORAGE) == "first"
        await cluster.forward("azure", tokens(storage="second"), HOUR_S)
        assert await cluster.run(token, STORAGE) == "second"
        asking = asyncio.ensure_future(cluster.run(token, VAULT))
        wanted = await cluster.session.shoal_credentials_wanted(known=0, timeout_s=30.0)
        assert list(wanted) == [VAULT]
        await cluster.forward("azure", tokens(storage="second", vault="for it"), HOUR_S)
        assert await asking == "for it"
        assert "not forwarded" in await cluster.run(refused, "https://graph.microsoft.com")

    run(scenario, tmp_path)

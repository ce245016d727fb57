"""Credentials between a real scheduler and real workers, and what the endpoint answers to whom."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dask
import msgspec
import pytest
from distributed import Client, Scheduler, Worker, get_worker
from distributed.core import rpc

from shoal.plugins.credentials import azure as protocol
from shoal.plugins.credentials import held as words
from shoal.plugins.credentials.answer import Asked, PassOn
from shoal.plugins.credentials.box import Box
from shoal.plugins.credentials.desk import Desk
from shoal.plugins.credentials.endpoint import answer
from shoal.plugins.credentials.held import Held
from shoal.plugins.credentials.passing_on import Beyond
from shoal.plugins.credentials.peers import user_of
from shoal.plugins.credentials.standing import Standing
from shoal.plugins.credentials.variables import Place, Variables

NOW = 1_800_000_000.0
HERE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
SECRETS = ("the-secret-key", "the-session-token", "ya29.the-token", "the-storage-token")

AWS = {
    "access_key_id": "ASIA1",
    "secret_access_key": SECRETS[0],
    "session_token": SECRETS[1],
    "account": "123456789012",
    "region": "eu-central-1",
}
GCP = {
    "access_token": SECRETS[2],
    "email": "ann@example.com",
    "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
    "project": "tide",
    "quota_project": "",
    "universe": "googleapis.com",
}


def azure(expires_at: float = NOW + 3600) -> dict[str, Any]:
    return {
        "tokens": {"https://storage.azure.com": {"token": SECRETS[3], "expires_at": expires_at}}
    }


def message(cloud: str, content: dict[str, Any], until: float = NOW + 3600) -> dict[str, Any]:
    return {"cloud": cloud, "identity": f"ann of {cloud}", "expires_at": until, "content": content}


def all_of_them(until: float = NOW + 3600) -> list[dict[str, Any]]:
    return [
        message("aws", AWS, until),
        message("gcp", GCP, until),
        message("azure", azure(until), until),
    ]


# -- who counts -----------------------------------------------------------------------------------


def sent(identity: str, until: float = NOW + 3600) -> Held:
    return Held("aws", identity, until, AWS)


def test_the_newest_session_counts_also_when_an_older_one_renews() -> None:
    standing = Standing()
    standing.put("old", [sent("ann")])
    standing.put("new", [sent("bob")])
    standing.put("old", [sent("ann again")])
    assert [it.identity for it in standing.counts()] == ["bob"]


def test_when_the_newest_withdraws_or_expires_the_one_before_counts_again() -> None:
    standing = Standing()
    standing.put("first", [sent("ann")])
    standing.put("second", [sent("bob", NOW + 10)])
    standing.put("third", [sent("cid")])
    standing.withdraw("third")
    assert [it.identity for it in standing.counts()] == ["bob"]
    assert not standing.forget_expired(NOW + 9)
    assert standing.next_expiry() == NOW + 10
    assert standing.forget_expired(NOW + 10)
    assert [it.identity for it in standing.counts()] == ["ann"]


def test_each_cloud_is_the_newest_sessions_that_forwards_it() -> None:
    standing = Standing()
    standing.put("first", [sent("ann"), Held("gcp", "ann", NOW + 1, GCP)])
    standing.put("second", [sent("bob")])
    assert [(it.cloud, it.identity) for it in standing.counts()] == [("aws", "bob"), ("gcp", "ann")]


def test_what_is_held_shows_whose_it_is_and_no_value() -> None:
    shown = repr([Held(it["cloud"], "ann", NOW, it["content"]) for it in all_of_them()])
    assert "ann" in shown
    assert not any(it in shown for it in SECRETS)


# -- the protocols --------------------------------------------------------------------------------


class Kept:
    """What an endpoint is for, without a worker."""

    def __init__(self, *clouds: str, beyond: Beyond | None = None) -> None:
        self.now = NOW
        self.beyond = beyond or Beyond()
        self._held = {it.cloud: it for it in words.read(all_of_them()) if it.cloud in clouds}

    def held(self, cloud: str) -> Held | None:
        return self._held.get(cloud)

    def token(self, resource: str) -> Held | None:
        return self._held.get("azure")


EVERYTHING = Kept("aws", "gcp", "azure")


def ask(
    path: str, kept: Kept = EVERYTHING, same_user: bool | None = True, **headers: str
) -> tuple[int, str]:
    plain, _, query = path.partition("?")
    pairs = dict(it.partition("=")[::2] for it in query.split("&") if it)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = Asked(plain, pairs, named, path)
    found = answer(kept, "open sesame", asked, same_user=same_user)
    return found.status, found.body


GOOGLE = {"metadata_flavor": "Google"}
ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default"


def test_aws_credentials_are_for_who_has_the_secret() -> None:
    status, body = ask("/aws", authorization="open sesame")
    assert status == 200
    assert json.loads(body) == {
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": SECRETS[0],
        "Token": SECRETS[1],
        "Expiration": "2027-01-15T09:00:00Z",
        "AccountId": "123456789012",
    }
    for headers in ({}, {"authorization": "guessed"}, {"authorization": "öffne dich"}):
        status, body = ask("/aws", **headers)
        assert status == 401
        assert not any(it in body for it in SECRETS)
    assert ask("/aws", Kept(), authorization="open sesame")[0] == 404


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/", "computeMetadata/\n"),
        ("/computeMetadata/v1/project/project-id", "tide"),
        ("/computeMetadata/v1/universe/universe-domain", "googleapis.com"),
        ("/computeMetadata/v1/instance/service-accounts/", "default/\nann@example.com/\n"),
        (f"{ACCOUNT}/email", "ann@example.com"),
        (f"{ACCOUNT}/scopes", "https://www.googleapis.com/auth/cloud-platform\n"),
        (f"{ACCOUNT}/aliases", "default\n"),
    ],
)
def test_googles_metadata(path: str, told: str) -> None:
    assert ask(path, **GOOGLE) == (200, told)


def test_googles_account_and_token() -> None:
    about = {
        "aliases": ["default"],
        "email": "ann@example.com",
        "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
    }
    assert json.loads(ask(f"{ACCOUNT}/?recursive=true", **GOOGLE)[1]) == about
    status, body = ask(f"{ACCOUNT}/token?scopes=https://other", **GOOGLE)
    token = {"access_token": SECRETS[2], "expires_in": 3600, "token_type": "Bearer"}
    assert (status, json.loads(body)) == (200, token)
    assert ask(f"{ACCOUNT}/identity?audience=x", **GOOGLE)[0] == 404
    assert ask(f"{ACCOUNT}x/token", **GOOGLE)[0] == 404


def test_google_answers_no_browser_no_proxy_no_other_user() -> None:
    token = f"{ACCOUNT}/token"
    refused = [
        ask(token),
        ask(token, metadata_flavor="Google", x_forwarded_for="10.0.0.1"),
        ask(token, same_user=False, **GOOGLE),
        ask(token, same_user=None, **GOOGLE),
    ]
    assert [status for status, _ in refused] == [403, 403, 403, 403]
    assert not any(it in body for _, body in refused for it in SECRETS)


def test_azure_tokens_are_for_a_resource_and_who_has_the_secret() -> None:
    query = "/azure?api-version=2019-08-01&resource="
    status, body = ask(f"{query}https://storage.azure.com/", x_identity_header="open sesame")
    assert status == 200
    assert json.loads(body) == {
        "access_token": SECRETS[3],
        "expires_on": str(int(NOW + 3600)),
        "resource": "https://storage.azure.com",
        "token_type": "Bearer",
    }
    assert ask(f"{query}https://storage.azure.com")[0] == 401
    for resource in ("https://graph.microsoft.com", "https://vault.azure.net", ""):
        assert ask(f"{query}{resource}", x_identity_header="open sesame")[0] == 400


def test_what_is_not_ours_is_asked_of_the_vms_own_metadata_service() -> None:
    seen: list[tuple[str, str | None]] = []

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Metadata-Flavor"] or self.headers["Metadata"]))
            self.send_response(404 if "missing" in self.path else 200)
            self.send_header("ETag", "7")
            self.end_headers()
            self.wfile.write(b"projects/1/zones/us-east1-b")

        def log_message(self, format: str, *arguments: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        beyond = f"http://127.0.0.1:{server.server_port}"
        zone, missing = (f"/computeMetadata/v1/instance/{it}" for it in ("zone", "missing"))
        google = Kept("gcp", beyond=Beyond("gcp", beyond))
        assert ask(zone, google, **GOOGLE) == (200, "projects/1/zones/us-east1-b")
        assert ask(missing, google, **GOOGLE)[0] == 404
        own = Kept("azure", beyond=Beyond("azure", beyond))
        query = "/azure?resource=https://storage.azure.com&client_id=of-the-vm"
        assert ask(query, own, x_identity_header="open sesame")[0] == 200
        nothing_held = Kept(beyond=Beyond("gcp", beyond))
        assert ask(f"{ACCOUNT}/token", nothing_held, **GOOGLE)[0] == 200
        server.shutdown()
    assert [flavor for _, flavor in seen] == ["Google", "Google", "true", "Google"]
    assert seen[2][0] == (
        "/metadata/identity/oauth2/token?api-version=2018-02-01"
        "&resource=https%3A%2F%2Fstorage.azure.com&client_id=of-the-vm"
    )
    assert ask(zone, Kept("gcp", beyond=Beyond("aws", beyond)), **GOOGLE)[0] == 404
    assert ask(zone, Kept("gcp", beyond=Beyond("gcp", beyond)), **GOOGLE)[0] == 503  # it is gone


# -- who asks, and how it is found -----------------------------------------------------------------


def test_the_user_of_a_connection_is_read_from_the_kernels_table(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        "   0: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0\n"
        "   1: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1002\n"
    )
    (tmp_path / "tcp6").write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        "   0: 0000000000000000FFFF00000100007F:D432 0000000000000000FFFF00000100007F:1F90 01 "
        "00000000:00000000 00:00000000 00000000  1003\n"
    )
    own = ("127.0.0.1", 8080)
    assert user_of(("127.0.0.1", 54321), own, tmp_path) == 1002
    assert user_of(("127.0.0.1", 54322), own, tmp_path) == 1003
    assert user_of(("127.0.0.1", 54323), own, tmp_path) is None
    assert user_of(("127.0.0.1", 54321), own, tmp_path / "none") is None


PLACE = Place("127.0.0.1", 4711, "open sesame")


def held(*clouds: str) -> list[Held]:
    return [it for it in words.read(all_of_them()) if it.cloud in clouds]


def test_variables_are_there_while_something_is_held() -> None:
    environ = {"HOME": "/home/ann"}
    variables = Variables(environ)
    variables.lead_to(PLACE, held("aws", "gcp", "azure"))
    assert environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://127.0.0.1:4711/aws"
    assert environ["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert environ["GCE_METADATA_HOST"] == environ["GCE_METADATA_ROOT"] == "127.0.0.1:4711"
    assert environ["IDENTITY_HEADER"] == "open sesame"
    assert not any(it in str(environ) for it in SECRETS)
    variables.lead_to(PLACE, held("azure"))
    assert set(environ) == {"HOME", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"}
    variables.lead_to(PLACE, [])
    assert environ == {"HOME": "/home/ann"}


def test_what_the_user_has_set_stays() -> None:
    own = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/mine",
        "CLOUDSDK_CONFIG": "/mine",
        "IDENTITY_ENDPOINT": "http://localhost/mine",
    }
    environ = dict(own)
    variables = Variables(environ)
    variables.lead_to(PLACE, held("aws", "gcp", "azure"))
    assert own.items() <= environ.items()
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN" not in environ  # it would go to the user's own
    assert "IDENTITY_HEADER" not in environ
    assert environ["GCE_METADATA_IP"] == "127.0.0.1:4711"
    variables.lead_to(PLACE, [])
    assert environ == own


def test_a_proxy_is_not_asked_for_this_machine() -> None:
    environ = {"HTTP_PROXY": "http://proxy:3128", "no_proxy": "internal"}
    Variables(environ).lead_to(PLACE, held("gcp"))
    assert environ["no_proxy"] == "internal,127.0.0.1"
    assert environ["NO_PROXY"] == "127.0.0.1"


# -- through Dask ---------------------------------------------------------------------------------


class Setting(msgspec.Struct):
    scheduler: Scheduler
    session: Any  # rpc, as a Cluster has it
    client: Client
    stack: AsyncExitStack
    clock: list[float]
    environs: dict[str, dict[str, str]]

    async def worker(self, name: str) -> Box:
        worker = Worker(self.scheduler.address, name=name, nthreads=1, memory_limit=0, **HERE)
        self.environs[name] = {}
        box = Box(Beyond(), self.environs[name], now=lambda: self.clock[0])
        box.attach(worker)
        worker.shoal_box = box
        await self.stack.enter_async_context(worker)
        self.stack.callback(box.close)
        return box


@asynccontextmanager
async def setting() -> AsyncIterator[Setting]:
    async with AsyncExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.worker.memory.target": False}))
        clock = [NOW]
        scheduler = await stack.enter_async_context(Scheduler(port=0, **HERE))
        desk = Desk(scheduler, now=lambda: clock[0])
        desk.attach()
        keeping = asyncio.create_task(desk.keep())
        stack.callback(keeping.cancel)
        client = await stack.enter_async_context(Client(scheduler.address, asynchronous=True))
        session = await stack.enter_async_context(rpc(scheduler.address))
        yield Setting(scheduler, session, client, stack, clock, {})


def run(scenario: Callable[[Setting], Awaitable[None]]) -> None:
    async def live() -> None:
        async with setting() as here, asyncio.timeout(30):
            await scenario(here)

    asyncio.run(live())


def _has_an_identity() -> bool:
    return get_worker().shoal_box.held("aws") is not None


def test_workers_have_credentials_when_the_session_is_answered_and_before_their_first_task() -> (
    None
):
    async def scenario(here: Setting) -> None:
        present = await here.worker("present")
        assert not present.held("aws")
        told = await here.session.shoal_credentials(sender="ann", held=all_of_them())
        assert told == {"workers": 1}
        assert {it for it in words.CLOUDS if present.held(it)} == set(words.CLOUDS)
        seen = here.client.submit(_has_an_identity, workers="joining", allow_other_workers=False)
        await here.worker("joining")
        assert await seen

    run(scenario)


def test_withdrawn_credentials_are_forgotten_at_once() -> None:
    async def scenario(here: Setting) -> None:
        box = await here.worker("worker")
        await here.session.shoal_credentials(sender="ann", held=all_of_them())
        await here.session.shoal_credentials_withdraw(sender="bob")  # who sent nothing
        assert box.held("gcp")
        await here.session.shoal_credentials_withdraw(sender="ann")
        assert not any(box.held(it) for it in words.CLOUDS)
        assert here.environs["worker"] == {}
        assert not await here.session.shoal_credentials_known()

    run(scenario)


def test_expired_credentials_are_forgotten_by_scheduler_and_workers() -> None:
    async def scenario(here: Setting) -> None:
        box = await here.worker("worker")
        until = here.clock[0] + 0.2
        await here.session.shoal_credentials(sender="ann", held=all_of_them(until))
        assert box.held("aws")
        here.clock[0] = until
        assert not box.held("aws")  # even before it is told
        while here.environs["worker"]:  # noqa: ASYNC110  Dask rings no bell for this
            await asyncio.sleep(0.01)

    run(scenario)


def test_the_scheduler_tells_whose_they_are_and_no_value() -> None:
    async def scenario(here: Setting) -> None:
        await here.session.shoal_credentials(sender="ann", held=all_of_them())
        told = await here.session.shoal_credentials_known()
        assert [it["identity"] for it in told] == ["ann of aws", "ann of azure", "ann of gcp"]
        assert not any(it in str(told) for it in SECRETS)

    run(scenario)


def test_a_token_that_a_task_wants_is_asked_of_the_session() -> None:
    resource = "https://vault.azure.net"

    async def scenario(here: Setting) -> None:
        box = await here.worker("worker")
        await here.session.shoal_credentials(sender="ann", held=all_of_them())
        asking = asyncio.create_task(asyncio.to_thread(box.token, f"{resource}"))
        wanted = await here.session.shoal_credentials_wanted(known=0, timeout_s=10)
        assert list(wanted) == [resource]
        content = azure()
        content["tokens"][resource] = {"token": "for the vault", "expires_at": NOW + 60}
        await here.session.shoal_credentials(sender="ann", held=[message("azure", content)])
        found = await asking
        assert found is not None
        assert found.content["tokens"][resource]["token"] == "for the vault"

    run(scenario)


def test_a_token_that_the_session_cannot_get_is_not_waited_for() -> None:
    resource = "https://forbidden.example"

    async def scenario(here: Setting) -> None:
        box = await here.worker("worker")
        await here.session.shoal_credentials(sender="ann", held=all_of_them())
        asking = asyncio.create_task(asyncio.to_thread(box.token, resource))
        await here.session.shoal_credentials_wanted(known=0, timeout_s=10)
        content = {**azure(), "refused": {resource: "AADSTS500011"}}
        await here.session.shoal_credentials(sender="ann", held=[message("azure", content)])
        async with asyncio.timeout(10):
            found = await asking
        told = protocol.answer(resource, found, here.clock[0])
        assert told.status == 400
        assert "AADSTS500011" in told.body

    run(scenario)


def test_a_message_with_credentials_is_not_logged_at_any_level(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(here: Setting) -> None:
        await here.worker("worker")
        with caplog.at_level(logging.DEBUG, logger="distributed.core"):
            await here.session.shoal_credentials(sender="ann", held=all_of_them())
            await here.session.shoal_credentials_withdraw(sender="nobody")

    run(scenario)
    assert "'op': 'shoal_credentials_withdraw'" in caplog.text  # it is logged, but for values
    assert "'op': 'shoal_credentials', 'held': '…'" in caplog.text
    assert not any(it in caplog.text for it in SECRETS)


def test_the_endpoint_answers_over_http_on_this_machine_alone() -> None:
    async def scenario(here: Setting) -> None:
        await here.worker("worker")
        here.clock[0] = time.time()
        held = all_of_them(time.time() + 3600)
        await here.session.shoal_credentials(sender="ann", held=held)
        environ = here.environs["worker"]
        authority = environ["GCE_METADATA_HOST"]
        assert authority.startswith("127.0.0.1:")

        def fetch(path: str, headers: dict[str, str]) -> tuple[int, str, str | None]:
            connection = http.client.HTTPConnection(authority, timeout=5)
            connection.request("GET", path, headers=headers)
            found = connection.getresponse()
            told = found.status, found.read().decode(), found.getheader("Metadata-Flavor")
            connection.close()
            return told

        status, body, flavor = await asyncio.to_thread(
            fetch, f"{ACCOUNT}/token", {"Metadata-Flavor": "Google"}
        )
        if os.path.exists("/proc/self/net/tcp"):
            assert (status, flavor) == (200, "Google")
            assert SECRETS[2] in body
        else:
            assert status == 403
        secret = environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        status, body, _ = await asyncio.to_thread(fetch, "/aws", {"Authorization": secret})
        assert (status, json.loads(body)["AccessKeyId"]) == (200, "ASIA1")

    run(scenario)


@pytest.mark.skipif(
    not os.path.exists("/proc/self/net/tcp") or os.geteuid() != 0,
    reason="only root can be somebody else, and only Linux tells who connects",
)
def test_another_user_of_this_machine_is_refused_where_the_protocol_has_no_secret() -> None:
    code = (
        "import sys, urllib.request as r\n"
        "request = r.Request(sys.argv[1], headers={'Metadata-Flavor': 'Google'})\n"
        "try: print(r.urlopen(request).read().decode())\n"
        "except r.HTTPError as error: print(error.code, error.read().decode())\n"
    )

    async def scenario(here: Setting) -> None:
        await here.worker("worker")
        await here.session.shoal_credentials(sender="ann", held=all_of_them())
        url = f"http://{here.environs['worker']['GCE_METADATA_HOST']}{ACCOUNT}/token"

        def told_to(user: int) -> str:
            python = ["/usr/bin/env", "python3", "-I", "-S", "-c", code, url]
            path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
            done = subprocess.run(python, user=user, env=path, capture_output=True, text=True)
            return done.stdout or done.stderr

        assert SECRETS[2] in await asyncio.to_thread(told_to, 0)
        refused = await asyncio.to_thread(told_to, 65534)
        assert refused.startswith("403 ")
        assert SECRETS[2] not in refused

    run(scenario)


def test_passing_on_keeps_the_whole_question() -> None:
    asked = Asked("/computeMetadata/v1/instance/x", {}, {"metadata-flavor": "Google"}, "/x?a=b")
    from shoal.plugins.credentials import gce

    assert gce.answer(asked, None, NOW) == PassOn("/x?a=b", {"Metadata-Flavor": "Google"})

"""What is forwarded of a session's logins, and when; on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from virtual_time import run

from shoal.client.credentials import evidence, renewal
from shoal.client.credentials.azure import whose
from shoal.client.credentials.evidence import In
from shoal.client.credentials.forwarding import Forwarding, Source, sources
from shoal.client.credentials.found import Forwarded, ForwardedIdentity, Login, Place
from shoal.errors import NotPossible
from shoal.wire.specs import Cloud

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


# -- whether there is a login ----------------------------------------------------------------------


def no_firmware(name: str) -> str:
    return ""


def place(home: Path, firmware: Callable[[str], str] = no_firmware, **environ: str) -> Place:
    return Place({"HOME": str(home), **environ}, firmware)


def test_without_any_sign_of_a_login_no_sdk_is_asked(tmp_path: Path) -> None:
    assert [evidence.of(it, place(tmp_path)) for it in Cloud] == [None] * len(Cloud)
    assert sources(Cloud.GCP, place(tmp_path)) == []


@pytest.mark.parametrize(
    ("cloud", "variable"),
    [
        (Cloud.AWS, "AWS_PROFILE"),
        (Cloud.AWS, "AWS_ACCESS_KEY_ID"),
        (Cloud.GCP, "GOOGLE_APPLICATION_CREDENTIALS"),
        (Cloud.AZURE, "AZURE_CLIENT_SECRET"),
        (Cloud.AZURE, "IDENTITY_ENDPOINT"),
    ],
)
def test_a_variable_is_a_login_of_this_session(cloud: Cloud, variable: str, tmp_path: Path) -> None:
    here = place(tmp_path, **{variable: "something"})
    assert evidence.of(cloud, here) is In.SESSION
    for cluster in (Cloud.LOCAL, Cloud.AWS):
        assert [it.cloud for it in sources(cluster, here)] == [cloud]


@pytest.mark.parametrize(
    ("cloud", "file"),
    [
        (Cloud.AWS, ".aws/config"),
        (Cloud.GCP, ".config/gcloud/application_default_credentials.json"),
        (Cloud.AZURE, ".azure/azureProfile.json"),
    ],
)
def test_a_file_is_a_login_that_vms_of_this_machine_find_themselves(
    cloud: Cloud, file: str, tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("{}")
    assert evidence.of(cloud, place(tmp_path)) is In.FILES
    assert sources(Cloud.LOCAL, place(tmp_path)) == []
    assert [it.cloud for it in sources(Cloud.GCP, place(tmp_path))] == [cloud]


@pytest.mark.parametrize(
    ("cloud", "name", "told"),
    [
        (Cloud.AWS, "sys_vendor", "Amazon EC2"),
        (Cloud.GCP, "product_name", "Google Compute Engine"),
        (Cloud.AZURE, "chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"),
    ],
)
def test_a_session_on_a_clouds_own_vm_has_that_vms_identity(
    cloud: Cloud, name: str, told: str, tmp_path: Path
) -> None:
    here = place(tmp_path, lambda it: told if it == name else "")
    assert evidence.of(cloud, here) is In.MACHINE
    assert [it.cloud for it in sources(Cloud.AWS, here)] == [cloud]
    assert sources(Cloud.LOCAL, here) == []


# -- when it is read again -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("life", "after"),
    [(12 * HOUR, 12 * HOUR - 20 * MINUTE), (HOUR, 40 * MINUTE), (30 * MINUTE, 20 * MINUTE)],
)
def test_credentials_are_renewed_well_before_sdks_ask(life: timedelta, after: timedelta) -> None:
    assert renewal.due(NOW, NOW + life) == NOW + after


def test_the_same_credentials_again_are_asked_more_often_but_not_in_a_rush() -> None:
    at, until, looks = NOW, NOW + HOUR, 0
    while at < until:
        following = renewal.due(at, until)
        assert following >= at + renewal.SOONEST
        at, looks = following, looks + 1
    assert 5 < looks < 15


# -- forwarding ------------------------------------------------------------------------------------


class Clock:
    """Of the loop that jumps."""

    def __call__(self) -> datetime:
        return NOW + timedelta(seconds=asyncio.get_running_loop().time())


class Sure:
    """A login that always works, for an hour each time."""

    cloud = Cloud.AWS

    def __init__(self, cloud: Cloud = Cloud.AWS) -> None:
        self.cloud = cloud
        self.reads = 0
        self.resources: frozenset[str] = frozenset()

    def read(self, now: datetime, resources: frozenset[str]) -> Forwarded:
        self.reads += 1
        self.resources = resources
        content = {"access_key_id": f"key {self.reads}", "secret_access_key": "very secret"}
        return Forwarded(self.cloud, f"ann, {self.reads}", now + HOUR, content)


class Expired:
    cloud = Cloud.GCP

    def read(self, now: datetime, resources: frozenset[str]) -> Forwarded:
        raise NotPossible("the login has expired", hint="log in")


class Scheduler:
    """What a session speaks with, as far as it tells it of credentials."""

    def __init__(self) -> None:
        self.taken: list[list[dict[str, Any]]] = []
        self.withdrawn: list[str] = []
        self.away = 0
        self.asked = asyncio.Event()
        self.resources: list[str] = []

    async def shoal_credentials(self, sender: str, held: list[dict[str, Any]]) -> dict[str, int]:
        if self.away:
            self.away -= 1
            raise OSError("not there")
        self.taken.append(held)
        return {"workers": 1}

    async def shoal_credentials_withdraw(self, sender: str) -> None:
        self.withdrawn.append(sender)

    async def shoal_credentials_known(self) -> list[dict[str, Any]]:
        newest = self.taken[-1] if self.taken else []
        return [{name: it[name] for name in ("cloud", "identity", "expires_at")} for it in newest]

    async def shoal_credentials_wanted(self, known: int, timeout_s: float) -> list[str]:
        if len(self.resources) <= known:
            await asyncio.sleep(timeout_s)
        return self.resources

    @property
    def identities(self) -> list[str]:
        return [it["identity"] for held in self.taken for it in held]


def forwarding(*logins: Login) -> Forwarding:
    def made(login: Login) -> Source:
        return Source(login.cloud, lambda: login)

    return Forwarding([made(it) for it in logins], Clock())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10 * 3600):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(1)


def test_an_identity_is_sent_and_renewed_while_the_session_lives() -> None:
    async def live() -> None:
        scheduler, ann = Scheduler(), Sure()
        it = forwarding(ann)
        it.begin()
        it.connected(scheduler)
        await it.settle(30)
        assert scheduler.identities == ["ann, 1"]
        assert scheduler.taken[0][0]["expires_at"] >= (NOW + HOUR).timestamp()
        await until(lambda: "ann, 2" in scheduler.identities)
        assert timedelta(minutes=40) <= Clock()() - NOW < timedelta(minutes=45)
        it.stop()
        reads = ann.reads
        await asyncio.sleep(7200)
        assert ann.reads == reads

    run(live())


def test_without_a_login_nothing_is_sent_and_nobody_waits() -> None:
    async def live() -> None:
        it = forwarding()
        it.begin()
        await it.settle(30)
        assert it.settled.is_set()
        assert await it.identities(Scheduler()) == ()

    run(live())


def test_a_scheduler_that_is_away_is_told_when_it_is_back() -> None:
    async def live() -> None:
        scheduler = Scheduler()
        scheduler.away = 3
        it = forwarding(Sure())
        it.begin()
        it.connected(scheduler)
        await until(lambda: bool(scheduler.taken))
        assert scheduler.identities == ["ann, 1"]
        it.stop()

    run(live())


def test_a_scheduler_that_began_anew_is_told_again() -> None:
    async def live() -> None:
        scheduler = Scheduler()
        it = forwarding(Sure())
        it.begin()
        it.connected(scheduler)
        await it.settle(30)
        scheduler.taken.clear()
        await until(lambda: bool(scheduler.taken))
        assert scheduler.identities == ["ann, 1"]
        assert Clock()() - NOW < timedelta(minutes=6)
        it.stop()

    run(live())


def test_a_login_that_fails_is_told_of_and_stops_nothing() -> None:
    async def live() -> None:
        scheduler = Scheduler()
        it = forwarding(Sure(), Expired())
        it.begin()
        it.connected(scheduler)
        await it.settle(30)
        await until(lambda: bool(scheduler.taken))
        aws, gcp = await it.identities(scheduler)
        assert str(aws).startswith("aws: ann, 1, until ")
        assert str(gcp) == "gcp: not forwarded: the login has expired (log in)"
        it.stop()

    run(live())


def test_a_token_that_a_task_wants_is_read_at_once() -> None:
    async def live() -> None:
        scheduler, ann = Scheduler(), Sure(Cloud.AZURE)
        it = forwarding(ann)
        it.begin()
        it.connected(scheduler)
        await it.settle(30)
        scheduler.resources = ["https://vault.azure.net"]
        await until(lambda: ann.reads == 2)
        assert ann.resources == {"https://vault.azure.net"}
        assert Clock()() - NOW < timedelta(minutes=2)
        it.stop()

    run(live())


def test_what_is_withdrawn_is_not_sent_again() -> None:
    async def live() -> None:
        scheduler = Scheduler()
        it = forwarding(Sure())
        it.begin()
        it.connected(scheduler)
        await it.settle(30)
        await it.withdraw(scheduler)
        assert len(scheduler.withdrawn) == 1
        await asyncio.sleep(7200)
        assert scheduler.identities == ["ann, 1"]

    run(live())


# -- how it looks ----------------------------------------------------------------------------------


def test_no_value_shows() -> None:
    found = Sure().read(NOW, frozenset())
    shown = f"{found} {found!r} {found.__rich_repr__()}"
    assert "ann" in shown
    assert "very secret" not in shown
    assert "key 1" not in shown


def test_an_identity_of_another_day_tells_the_day() -> None:
    told = str(ForwardedIdentity(Cloud.AWS, "ann", datetime(2031, 1, 2, 3, 4, tzinfo=UTC)))
    assert told.startswith("aws: ann, until 2031-01-0")


@pytest.mark.parametrize(
    ("claims", "told"),
    [("eyJ1cG4iOiJhbm5AZXhhbXBsZS5jb20ifQ", "ann@example.com"), ("bm8ganNvbg", "a user")],
)
def test_whose_a_token_of_azure_is(claims: str, told: str) -> None:
    assert whose(f"header.{claims}.signature") == told
    assert whose("opaque") == "a user"

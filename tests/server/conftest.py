"""A whole server in this process: real routes, real store, the sim cloud; no loop unless asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import httpx2
import msgspec
import pytest

from shoal.clouds.provider import Provider
from shoal.errors import NotPossible
from shoal.server import gate
from shoal.server.bell import Bell
from shoal.server.clouds import Clouds
from shoal.server.desk import Desk
from shoal.server.handlers import HANDLERS
from shoal.server.passes.reconcile import Reconciler
from shoal.server.routing import app
from shoal.server.settings import Settings
from shoal.software.bundles import Bundles
from shoal.store import environments, installation, tables, tokens
from shoal.store.database import Database
from shoal.trust.installation_key import create_or_read
from shoal.wire.accounts import AwsAccount, CloudAccount, cloud_of
from shoal.wire.ids import UserName, WorkspaceName
from shoal.wire.specs import Cloud
from shoal.wire.views import TokenView
from tests.server.browsing import Browser
from tests.server.small_cloud import SmallCloud
from tests.server.specs import ENVIRONMENT

A = TypeVar("A")


def reach(account: CloudAccount) -> Provider:
    """AWS alone is reached from here."""
    if isinstance(account, AwsAccount):
        return SmallCloud()
    raise NotPossible(f"{cloud_of(account)} is not reached from here.")


class Served:
    """The app, and clients of it with tokens of different people."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._app = app(desk, HANDLERS)

    def token(self, user: str, workspace: str, *scopes: str) -> str:
        secret = gate.new_secret()
        view = TokenView(
            f"t-{user}-{workspace}",
            UserName(user),
            WorkspaceName(workspace),
            scopes,
            self.desk.clock(),
            None,
        )
        run, now = self.desk.database.run, self.desk.clock()
        asyncio.run(run(tokens.create, view, gate.hash_of(secret)))
        asyncio.run(run(environments.put, view.workspace, ENVIRONMENT, now))
        return secret

    def ask(self, token: str, method: str, path: str, body: object = None) -> httpx2.Response:
        content = None if body is None else msgspec.json.encode(body)
        return self.send(token, method, path, content)

    def send(
        self, token: str, method: str, path: str, content: bytes | None = None
    ) -> httpx2.Response:
        async def call() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self._app)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with httpx2.AsyncClient(
                transport=transport, base_url="http://shoal", headers=headers
            ) as client:
                return await client.request(method, path, content=content)

        return asyncio.run(call())

    def begin_of(self, call: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
        """A call whose answer may be endless: what it says before it waits for more."""
        self.desk.told, self.desk.stopping = Bell(), asyncio.Event()

        async def cut() -> httpx2.Response:
            answer = asyncio.ensure_future(call())
            for _ in range(500):
                await asyncio.sleep(0)
            self.desk.stopping.set()
            await self.desk.told.ring()
            return await answer

        try:
            return asyncio.run(cut())
        finally:
            self.desk.told, self.desk.stopping = Bell(), asyncio.Event()

    def now(self, question: Awaitable[A]) -> A:
        async def answer() -> A:
            return await question

        return asyncio.run(answer())

    def passes(self, count: int) -> None:
        """The reconciler's."""

        async def run() -> None:
            for reconciler in self.desk.reconcilers.values():
                for _ in range(count):
                    await reconciler.run_pass(await reconciler.observe())

        asyncio.run(run())


@pytest.fixture(scope="session")
def kept() -> Iterator[Database]:
    """In memory, and opened once: else each test would compile all statements anew."""
    database = Database.open("sqlite://", inline=True)
    yield database
    database.close()


@pytest.fixture
def served(tmp_path: Path, kept: Database) -> Iterator[Served]:
    with kept.engine.begin() as tx:
        for table in (*tables.facts.sorted_tables[::-1], *tables.samples.sorted_tables[::-1]):
            tx.execute(table.delete())
        tx.exec_driver_sql("DELETE FROM sqlite_sequence")
    yield from serving(Settings(state_dir=tmp_path), kept)


def serving(settings: Settings, database: Database) -> Iterator[Served]:
    key = create_or_read(settings.state.key_file)
    own = asyncio.run(database.run(installation.read, key.fingerprint()))

    def now() -> datetime:
        return datetime.now(UTC)

    cloud = SmallCloud()
    clouds = Clouds(
        {Cloud.SIM: cloud},
        reach,
        lambda it: Reconciler(
            database=database, provider=it, boot_text=lambda batch: batch.id, clock=now
        ),
    )
    desk = Desk(
        settings=settings,
        installation=own,
        database=database,
        key=key,
        clouds=clouds,
        bundles=Bundles(settings.state.cache),
        clock=now,
        started_at=now(),
        told=Bell(),
        wanted=Bell(),
        stopping=asyncio.Event(),
        last_request_at=time.monotonic(),
    )
    yield Served(desk)


@pytest.fixture
def ada(served: Served) -> str:
    """Her token: an administrator's."""
    return served.token("ada", "research", "clusters", "admin")


@pytest.fixture
def browser(served: Served, ada: str) -> Browser:
    """Logged in as Ada."""
    made = Browser(served)
    assert made.log_in(ada).status_code == 303
    return made

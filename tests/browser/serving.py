"""The server's pages on a real socket, over a store that a test filled."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from shoal.server import gate
from shoal.server.bell import Bell
from shoal.server.clouds import Clouds
from shoal.server.desk import Desk
from shoal.server.handlers import HANDLERS
from shoal.server.pages import site
from shoal.server.routing import app
from shoal.server.settings import Settings
from shoal.software.bundles import Bundles
from shoal.store import installation, tokens
from shoal.store.database import Database
from shoal.trust.installation_key import create_or_read
from shoal.wire.ids import UserName
from shoal.wire.views import TokenView
from tests.browser.seeded import RESEARCH

T = TypeVar("T")


def now() -> datetime:
    return datetime.now(UTC)


def run(work: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own: Playwright keeps a loop running in the test's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def desk_at(state: Path, url: str | None = None) -> Desk:
    settings = Settings(state_dir=state, database=url)
    database = Database.open(settings.database_url, samples_url=settings.samples_url)
    key = create_or_read(state / "installation.key")
    own = await database.run(installation.read, key.fingerprint())
    return Desk(
        settings=settings,
        installation=own,
        database=database,
        key=key,
        clouds=Clouds.none(),
        bundles=Bundles(settings.state.cache),
        clock=now,
        started_at=now(),
        told=Bell(),
        wanted=Bell(),
        stopping=asyncio.Event(),
    )


async def a_token(desk: Desk, *scopes: str) -> str:
    secret = gate.new_secret()
    view = TokenView("t-browser", UserName("ada"), RESEARCH, scopes, now(), None)
    await desk.database.run(tokens.create, view, gate.hash_of(secret))
    return secret


@contextmanager
def served(desk: Desk) -> Iterator[str]:
    """Its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    application = app(desk, HANDLERS, site.routes(desk))
    config = uvicorn.Config(
        application,
        log_config=None,
        lifespan="off",
        ws="websockets-sansio",
        timeout_graceful_shutdown=10,
    )
    serving = uvicorn.Server(config)
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
    thread.start()
    desk.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        yield desk.url
    finally:
        desk.stopping.set()
        serving.should_exit = True
        thread.join()
        listening.close()

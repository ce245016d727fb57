"""The only place that constructs things: settings in, a running control plane out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import msgspec
import uvicorn

from shoal.clouds.catalog import Catalog
from shoal.clouds.provider import Provider
from shoal.core.boot import bare_boot_text, boot_text
from shoal.core.records import Batch
from shoal.server import embedded, loop, routing
from shoal.server.bell import Bell
from shoal.server.clock import now
from shoal.server.clouds import Clouds
from shoal.server.desk import Desk
from shoal.server.handlers import HANDLERS
from shoal.server.pages import site
from shoal.server.passes.reconcile import Reconciler
from shoal.server.providers import local, reached
from shoal.server.settings import Settings
from shoal.software.bundles import Bundles
from shoal.store import accounts, installation
from shoal.store.database import Database
from shoal.trust import authority
from shoal.trust.installation_key import InstallationKey, create_or_read
from shoal.wire.boot import BootDocument
from shoal.wire.specs import Cloud, Role

_log = logging.getLogger(__name__)


async def serve(settings: Settings, *, ready: Callable[[Desk], None] = lambda desk: None) -> None:
    """Run until stopped by a signal, the API or (embedded) by having nothing to do."""
    key = create_or_read(settings.state.key_file)
    database = Database.open(settings.database_url, samples_url=settings.samples_url)
    try:
        desk = await _desk(settings, database, key)
        await _run(desk, ready)
    finally:
        database.close()


async def _desk(settings: Settings, database: Database, key: InstallationKey) -> Desk:
    own = await database.run(installation.read, key.fingerprint())
    catalog = Catalog(settings.state.root / "catalog")
    clouds = Clouds(
        {Cloud.LOCAL: local(settings, own)},
        lambda account: reached(account, own, catalog),
        lambda provider: _reconciler(settings, database, key, provider),
    )
    clouds.follow(await database.run(accounts.every))
    return Desk(
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
    )


_BOOTSTRAP = files("shoal.agent") / "bootstrap.py"


def _reconciler(
    settings: Settings, database: Database, key: InstallationKey, provider: Provider
) -> Reconciler:
    bootstrap = _BOOTSTRAP.read_bytes()

    def text(batch: Batch) -> str:
        document = boot_document(key, batch, provider.cloud)
        if document.cloud:
            return bare_boot_text(document, bootstrap)
        return boot_text(document)

    return Reconciler(
        database=database,
        provider=provider,
        boot_text=text,
        clock=now,
        grace_s=settings.budget_grace_s,
    )


def boot_document(key: InstallationKey, batch: Batch, cloud: Cloud) -> BootDocument:
    """A function of the batch's row and the key: the same bytes each time."""
    created_at = batch.cluster_created_at
    worker = BootDocument(
        cluster=batch.cluster,
        role=batch.role,
        ca_pem=authority.ca_pem(key, batch.cluster, created_at),
        join_secret=authority.join_secret(key, batch.cluster).text,
        head_address=batch.head_address,
        lifetime_s=batch.lifetime_s,
        cloud="" if cloud in (Cloud.LOCAL, Cloud.SIM) else cloud,
    )
    if batch.role is Role.WORKER:
        return worker
    head = authority.head_identity(key, batch.cluster, created_at)
    return msgspec.structs.replace(
        worker, head_address="", certificate_pem=head.certificate_pem, key_pem=head.key_pem.text
    )


async def _run(desk: Desk, ready: Callable[[Desk], None]) -> None:
    http, listening = _http(desk)
    desk.url = _url(desk.settings, listening)
    token_file = await embedded.own_token(desk)
    with _signals(desk):
        async with asyncio.TaskGroup() as group:
            group.create_task(_serve_http(desk, http, listening))
            group.create_task(loop.run(desk))
            if desk.settings.embedded:
                group.create_task(_embedded(desk, http, token_file))
            group.create_task(_when_started(desk, http, ready))


def _http(desk: Desk) -> tuple[_Server, socket.socket]:
    settings = desk.settings
    config = uvicorn.Config(
        routing.app(desk, HANDLERS, site.routes(desk)),
        host=settings.host,
        port=settings.port,
        lifespan="off",
        ws="websockets-sansio",  # Dask's dashboard speaks it through us
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=1,
    )
    listening = socket.create_server(
        (settings.host, settings.port),
        family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET,
        backlog=2048,
    )
    return _Server(config), listening


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours, see `_signals`: uvicorn would raise them again before we have cleaned up."""
        yield


async def _serve_http(desk: Desk, http: _Server, listening: socket.socket) -> None:
    async def until_stopping() -> None:
        await desk.stopping.wait()
        await desk.told.ring()  # streams end
        http.should_exit = True

    async with asyncio.TaskGroup() as group:
        group.create_task(until_stopping())
        await http.serve(sockets=[listening])
        desk.stopping.set()


async def _when_started(desk: Desk, http: _Server, ready: Callable[[Desk], None]) -> None:
    while not http.started and not desk.stopping.is_set():  # noqa: ASYNC110  uvicorn has no event
        await asyncio.sleep(0.005)
    ready(desk)


async def _embedded(desk: Desk, http: _Server, token_file: Path) -> None:
    await _when_started(desk, http, lambda desk: embedded.announce(desk, token_file))
    try:
        await embedded.end_when_unused(desk)
    finally:
        embedded.withdraw(desk.settings.state)


@contextlib.contextmanager
def _signals(desk: Desk) -> Iterator[None]:
    running = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM)
    for number in handled:
        with contextlib.suppress(NotImplementedError):  # Windows
            running.add_signal_handler(number, desk.stopping.set)
    try:
        yield
    finally:
        for number in handled:
            with contextlib.suppress(NotImplementedError):
                running.remove_signal_handler(number)


def _url(settings: Settings, listening: socket.socket) -> str:
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{listening.getsockname()[1]}"

"""Tests of the command: run in this process, against a fake server that listens on loopback."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
import uvicorn

sys.path.insert(0, str(Path(__file__).parents[1] / "client"))

from fake_server import TOKEN, FakeServer
from running import Ran, Shoal

from shoal.cli import main


@pytest.fixture
def shoal(capfd: pytest.CaptureFixture[str]) -> Shoal:
    def run(*arguments: str) -> Ran:
        status = main.run(list(arguments))
        captured = capfd.readouterr()
        return Ran(status, captured.out, captured.err)

    return run


@pytest.fixture(autouse=True)
def _own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SHOAL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SHOAL_CONFIG_DIR", str(tmp_path / "config"))
    with dask.config.set({"shoal.server": None, "shoal.token": None}):
        yield


class Switch:
    """An app that is one fake after the other: listening anew for each test takes longer."""

    def __init__(self) -> None:
        self.fake = FakeServer()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.fake.app(scope, receive, send)


@pytest.fixture(scope="session")
def listening() -> Iterator[tuple[str, Switch]]:
    switch, listener = Switch(), socket.create_server(("127.0.0.1", 0))
    serving = uvicorn.Server(uvicorn.Config(switch, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", switch
    serving.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def server(listening: tuple[str, Switch]) -> Iterator[FakeServer]:
    """The one that is logged in to."""
    url, switch = listening
    switch.fake = FakeServer()
    with dask.config.set({"shoal.server": url, "shoal.token": TOKEN}):
        yield switch.fake

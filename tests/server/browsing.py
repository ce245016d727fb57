"""A browser without a window, and a cluster for it to look at."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import httpx2

from shoal.server.handlers import HANDLERS
from shoal.server.pages import site
from shoal.server.routing import app
from shoal.wire.requests import CreateCluster
from tests.server.specs import a_spec

if TYPE_CHECKING:
    from tests.server.conftest import Served


class Browser:
    """Keeps cookies, follows nothing."""

    def __init__(self, served: Served, base: str = "http://shoal") -> None:
        self._app = app(served.desk, HANDLERS, site.routes(served.desk))
        self._base = base
        self.cookies = httpx2.Cookies()

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self._send("GET", path, None, {k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, fields: Mapping[str, str], **headers: str) -> httpx2.Response:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return self._send("POST", path, fields, named)

    def log_in(self, token: str, following: str = "/") -> httpx2.Response:
        return self.post("/login", {"token": token, "next": following})

    def form_key(self) -> str:
        found = re.search(r'name="form_key" value="([^"]+)"', self.get("/").text)
        assert found
        return found[1]

    def _send(
        self, method: str, path: str, fields: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> httpx2.Response:
        async def call() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self._app)
            async with httpx2.AsyncClient(
                transport=transport, base_url=self._base, cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, data=fields, headers=dict(headers))
                self.cookies = client.cookies
                return answer

        return asyncio.run(call())


class Inline(HTMLParser):
    """Finds what the policy would not run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]
        for name, value in attrs:
            if name in ("src", "href", "action") and value and not value.startswith(("/", "#")):
                self.found.append(value)


def a_cluster(served: Served, token: str, **changes: object) -> str:
    made = served.ask(token, "POST", "/v1/clusters", CreateCluster(a_spec(**changes)))
    assert made.status_code == 200, made.text
    one_pass(served)
    return str(made.json()["id"])


def one_pass(served: Served) -> None:
    reconciler = next(iter(served.desk.reconcilers.values()))

    async def run() -> None:
        await reconciler.run_pass(await reconciler.observe())

    asyncio.run(run())

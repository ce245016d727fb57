"""What all pages share: templates, headers, and one visit of one page.

Nothing is loaded from elsewhere and nothing inline is run, so that text from a cluster (a log line,
a name) can never become a script; nothing is kept in caches, so that logging out is the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources

import jinja2
import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shoal.server.desk import Desk
from shoal.server.pages import life, words
from shoal.server.pages.session import Visitor, cookie_name
from shoal.version import VERSION

HEADERS = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            "style-src 'self'",
            "script-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Asset(msgspec.Struct, frozen=True):
    content: bytes
    media_type: str
    url: str  # changes with the content, so that it may be cached for ever


def _assets() -> Mapping[str, Asset]:
    """Those that are written here, and those that the package build made (web/), if it did."""
    here = resources.files("shoal.server.pages")
    made = here.joinpath("static")
    files = [*here.joinpath("assets").iterdir(), *(made.iterdir() if made.is_dir() else ())]
    found: dict[str, Asset] = {}
    for file in files:
        if media_type := _TYPES.get(file.name.rpartition(".")[2]):
            content = file.read_bytes()
            version = hashlib.sha256(content).hexdigest()[:12]
            url = f"/pages/assets/{file.name}?v={version}"
            found[file.name] = Asset(content, media_type, url)
    return found


ASSETS = _assets()


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("shoal.server.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        it.__name__: it
        for it in (
            life.duration,
            words.advised,
            words.called,
            words.hardware,
            words.kind_tone,
            words.level,
            words.loss,
            words.loss_tone,
            words.marked,
            words.moment,
            words.money,
            words.number,
            words.place,
            words.ran,
            words.rules,
            words.severity,
            words.size,
            words.standing,
            words.tone,
            words.vm,
            words.wanted,
        )
    }
    made.globals |= {
        "asset": lambda name: ASSETS[name].url,
        "built": lambda name: name in ASSETS,
        "version": VERSION,
    }
    return made


_TEMPLATES = _environment()


class Visit(msgspec.Struct, frozen=True):
    desk: Desk
    request: Request
    visitor: Visitor | None = None  # None: not logged in

    @property
    def part(self) -> bool:
        """Asked for by the script that keeps an open page fresh: nobody's doing."""
        headers = self.request.headers
        return "x-part" in headers or headers.get("accept") == "text/event-stream"

    @property
    def secure(self) -> bool:
        settings = self.desk.settings
        given = settings.tls_cert is not None or settings.behind_proxy
        return given or self.request.url.scheme == "https"

    @property
    def cookie(self) -> str | None:
        return self.request.cookies.get(cookie_name(self.desk, secure=self.secure))

    @property
    def known(self) -> Visitor:
        assert self.visitor is not None
        return self.visitor


def render(
    visit: Visit, template: str, values: Mapping[str, object], status: int = 200
) -> Response:
    frame = {
        "visitor": visit.visitor,
        "part": visit.part,
        "embedded": visit.desk.settings.embedded,
        "log_days": visit.desk.settings.log_days,
        "here": "",
    }
    text = _TEMPLATES.get_template(template).render(frame | dict(values))
    return Response(text, status, media_type="text/html")


def redirect(path: str, status: int = 303) -> Response:
    return RedirectResponse(path, status)

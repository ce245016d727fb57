"""Logging in with an API token, and out.

The cookie is `SameSite=Strict`: a link from elsewhere (a notebook) arrives without it, and so at
the login page; its script finds that the session is there, and goes on.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.responses import Response

from shoal.errors import NotLoggedIn
from shoal.server.pages.forms import checked_form, form
from shoal.server.pages.frame import Visit, redirect, render
from shoal.server.pages.session import begin, cookie_name

_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*")  # no second slash, no backslash, no space or control
_MAX_SECRET = 200


def local(path: str) -> str:
    """The path, if it is one of this server, else the start: nobody is sent elsewhere."""
    return path if _LOCAL.fullmatch(path) else "/"


def to_login(visit: Visit) -> Response:
    """Whoever is not logged in comes back to what they wanted to see."""
    url = visit.request.url
    wanted = url.path + (f"?{url.query}" if url.query else "")
    return redirect(
        "/login?next=" + quote(wanted if visit.request.method == "GET" else "/", safe="/"), 302
    )


async def show(visit: Visit) -> Response:
    if visit.part:  # the script asks whether a session is there; that there is none is no error
        return Response("yes" if visit.visitor else "no", media_type="text/plain")
    following = local(visit.request.query_params.get("next", "/"))
    return redirect(following) if visit.visitor else _form(visit, following)


async def enter(visit: Visit) -> Response:
    fields = await form(visit)
    following = local(fields.get("next", "/"))
    secret = fields.get("token", "").strip()
    if not secret or len(secret) > _MAX_SECRET:
        return _form(visit, following, "Paste an API token.")
    try:
        cookie, expires_at = await begin(visit.desk, secret)
    except NotLoggedIn as error:
        return _form(visit, following, error.message)
    answer = redirect(following)
    answer.set_cookie(
        cookie_name(visit.desk, secure=visit.secure),
        cookie,
        expires=expires_at,
        secure=visit.secure,
        httponly=True,
        samesite="strict",
    )
    return answer


async def leave(visit: Visit) -> Response:
    if visit.visitor is not None:
        await checked_form(visit)
    answer = redirect("/login")
    answer.delete_cookie(
        cookie_name(visit.desk, secure=visit.secure),
        secure=visit.secure,
        httponly=True,
        samesite="strict",
    )
    return answer


def _form(visit: Visit, following: str, problem: str = "") -> Response:
    values = {
        "next": following,
        "problem": problem,
        "token_file": visit.desk.settings.state.token_file,
    }
    return render(visit, "login.html", values, 401 if problem else 200)

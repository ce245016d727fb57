"""Google's metadata service, as far as it is about identities; the rest is the VM's own.

https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys; google-auth 2.63 asks for
`/` (is it there?), the project, the account's information, and its token. As on a VM, a token has
the scopes it has, whatever is asked.
"""

from __future__ import annotations

from typing import Any

from .answer import Answer, Asked, PassOn, of_json
from .held import Held

_FLAVOR = {"Metadata-Flavor": "Google"}
_ROOT = "/computeMetadata/v1"
_ACCOUNTS = f"{_ROOT}/instance/service-accounts"


def answer(asked: Asked, held: Held | None, now: float) -> Answer | PassOn:
    path = asked.path.rstrip("/")
    if not path:
        return _text("computeMetadata/\n")
    if asked.headers.get("metadata-flavor") != "Google":
        return _text("Missing Metadata-Flavor:Google header.", 403)
    if "x-forwarded-for" in asked.headers:
        return _text("Requests through proxies are refused.", 403)
    if held is None:
        return PassOn(asked.target, _FLAVOR)
    if path == _ACCOUNTS or path.startswith(f"{_ACCOUNTS}/"):
        return _accounts(path.removeprefix(_ACCOUNTS).strip("/"), asked, held, now)
    if path == f"{_ROOT}/project/project-id" and held.content.get("project"):
        return _text(held.content["project"])
    if path == f"{_ROOT}/universe/universe-domain" and held.content.get("universe"):
        return _text(held.content["universe"])
    return PassOn(asked.target, _FLAVOR)


def _accounts(rest: str, asked: Asked, held: Held, now: float) -> Answer:
    recursive = asked.query.get("recursive", "").lower() == "true"
    about = _about(held)
    if not rest:
        names = ("default", about["email"])
        return _json(dict.fromkeys(names, about)) if recursive else _text(_listing(names))
    account, _, item = rest.partition("/")
    if account not in ("default", about["email"]):
        return _text(f"No identity {account} is forwarded: {about['email']} is", 404)
    match item:
        case "":
            return _json(about) if recursive else _text("aliases\nemail\nscopes\ntoken\n")
        case "token":
            token = {
                "access_token": held.content["access_token"],
                "expires_in": int(held.expires_at - now),
                "token_type": "Bearer",
            }
            return _json(token)
        case "email":
            return _text(about["email"])
        case "scopes" | "aliases":
            return _text("".join(f"{it}\n" for it in about[item]))
        case "identity":
            return _text("Identity tokens are not forwarded; access tokens are", 404)
    return _text("not found", 404)


def _about(held: Held) -> dict[str, Any]:
    return {
        "aliases": ["default"],
        "email": held.content.get("email") or "default",
        "scopes": list(held.content.get("scopes") or ()),
    }


def _listing(names: tuple[str, ...]) -> str:
    return "".join(f"{it}/\n" for it in dict.fromkeys(names))


def _json(value: Any) -> Answer:
    return of_json(value, headers=_FLAVOR)


def _text(text: str, status: int = 200) -> Answer:
    return Answer(status, text, "application/text", _FLAVOR)

"""The workspace, its API tokens and the clouds that are set up."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

import msgspec
from starlette.responses import Response

from shoal.errors import InvalidRequest
from shoal.server import gate
from shoal.server.desk import Incoming
from shoal.server.handlers import accounts as account_handlers
from shoal.server.handlers import tokens as handlers
from shoal.server.pages import exports, limits
from shoal.server.pages.asked import asked
from shoal.server.pages.forms import checked_form
from shoal.server.pages.frame import Visit, redirect, render
from shoal.store.database import masked
from shoal.wire.accounts import AwsAccount, AzureAccount, CloudAccount, GcpAccount, cloud_of
from shoal.wire.ids import UserName, WorkspaceName
from shoal.wire.requests import CreateToken
from shoal.wire.specs import Cloud
from shoal.wire.views import NewToken, TokenView

_EXPIRIES = (("", "never"), ("7", "in 7 days"), ("30", "in 30 days"), ("365", "in a year"))
_CLOUDS = (Cloud.LOCAL, Cloud.GCP, Cloud.AWS, Cloud.AZURE)


class SettingsAsked(msgspec.Struct, frozen=True):
    of: str = ""  # whose limits are to be changed: a user's; "*": each user's; "": the workspace's


async def settings(visit: Visit) -> Response:
    return await _page(visit, None)


async def _page(visit: Visit, made: NewToken | None) -> Response:
    desk, caller = visit.desk, visit.known.caller
    admin = "admin" in caller.scopes
    of = UserName(asked(visit, SettingsAsked).of)
    held = await limits.view_for(visit)
    values = {
        "here": "/settings",
        "admin": admin,
        "tokens": await _tokens(visit) if admin else (),
        "made": made,
        "expiries": _EXPIRIES,
        "clouds": await _clouds(visit),
        "installation": desk.installation,
        "database": masked(desk.settings.database_url),
        "url": desk.url,
        "now": desk.clock(),
        "limits": limits.table(held),
        "change": limits.form(held, of),
    }
    return render(visit, "settings.html", values)


class CloudSeen(msgspec.Struct, frozen=True):
    cloud: Cloud
    there: bool  # set up
    place: str  # whose bill, and where clusters go that name no region


async def _clouds(visit: Visit) -> list[CloudSeen]:
    desk, wanted = visit.desk, Incoming(visit.known.caller, {}, None, None)
    accounts = (await account_handlers.accounts(desk, wanted)).accounts
    places = {cloud_of(it): _place(it) for it in accounts}
    return [CloudSeen(it, it in desk.providers, places.get(it, "")) for it in _CLOUDS]


async def clouds_file(visit: Visit) -> Response:
    kind = visit.request.path_params["kind"]
    return exports.structs("settings", "clouds", kind, {"clouds": await _clouds(visit)})


def _place(account: CloudAccount) -> str:
    match account:
        case GcpAccount(project=project):
            whose = f"project {project}"
        case AwsAccount(account=number):
            whose = f"account {number}"
        case AzureAccount(subscription=subscription):
            whose = f"subscription {subscription}"
        case _:
            assert_never(account)
    return f"{whose}, {account.region}"


async def _tokens(visit: Visit) -> tuple[TokenView, ...]:
    wanted = Incoming(visit.known.caller, {}, None, None)
    return (await handlers.tokens(visit.desk, wanted)).tokens


async def tokens_file(visit: Visit) -> Response:
    gate.check_scope(visit.known.caller, "admin")
    kind = visit.request.path_params["kind"]
    return exports.structs("settings", "tokens", kind, {"tokens": await _tokens(visit)})


async def create_token(visit: Visit) -> Response:
    """The secret is shown once, on the page that answers the form."""
    fields, caller = await checked_form(visit), visit.known.caller
    gate.check_scope(caller, "admin")
    expiry = fields.get("expiry", "")
    if expiry not in dict(_EXPIRIES):
        raise InvalidRequest(f"{expiry!r} is no expiry that the form offers.")
    body = CreateToken(
        user=UserName(fields.get("user", "").strip()),
        workspace=WorkspaceName(fields.get("workspace", "").strip() or caller.workspace),
        scopes=("clusters", "admin") if fields.get("admin") else ("clusters",),
        expires_at=visit.desk.clock() + timedelta(days=int(expiry)) if expiry else None,
    )
    return await _page(
        visit, await handlers.create_token(visit.desk, Incoming(caller, {}, None, body))
    )


async def revoke_token(visit: Visit) -> Response:
    await checked_form(visit)
    gate.check_scope(visit.known.caller, "admin")
    path = visit.request.path_params
    await handlers.revoke_token(visit.desk, Incoming(visit.known.caller, path, None, None))
    return redirect("/settings")

"""`shoal token`: who may use a team's server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from shoal.cli import output
from shoal.wire.endpoints import TokenList
from shoal.wire.ids import UserName, WorkspaceName
from shoal.wire.views import NewToken, TokenView


@click.group("token")
def command() -> None:
    """API tokens: create, list, revoke (needs the scope "admin").

    Example: shoal token create ada --workspace research --days 90
    """


@command.command()
@click.argument("user")
@click.option("--workspace", default="default", show_default=True)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["clusters", "admin", "metrics"]),
    default=["clusters"],
    show_default=True,
    help="May be given several times.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="Until it expires (default: never).")
@output.json_option
def create(
    user: str, workspace: str, scopes: tuple[str, ...], days: int | None, as_json: bool
) -> None:
    """Make a token for USER. Its secret is shown once.

    Example: shoal token create ada --workspace research --days 90
    """
    from shoal.cli import session
    from shoal.wire import endpoints
    from shoal.wire.requests import CreateToken

    body = CreateToken(
        user=UserName(user),
        workspace=WorkspaceName(workspace),
        scopes=scopes,
        expires_at=datetime.now(UTC) + timedelta(days=days) if days else None,
    )
    made: NewToken = session.ask(endpoints.CREATE_TOKEN, body=body)
    if as_json:
        output.json(made)
        return
    output.note(f"Token {made.token.id} for {user} in workspace {workspace}. Keep the secret now:")
    click.echo(made.secret)


@command.command("list")
@output.json_option
def list_(as_json: bool) -> None:
    """Tokens without their secrets.

    Example: shoal token list
    """
    from shoal.cli import session
    from shoal.wire import endpoints

    found: TokenList = session.ask(endpoints.TOKENS)
    if as_json:
        output.json(found)
        return
    titles = ("id", "user", "workspace", "scopes", "made", "expires")
    output.columns(titles, [_row(token) for token in found.tokens], nothing="There are no tokens.")


@command.command()
@click.argument("token")
@output.json_option
def revoke(token: str, as_json: bool) -> None:
    """End a token at once, by its id.

    Example: shoal token revoke t-0123456789ab
    """
    from shoal.cli import session
    from shoal.wire import endpoints

    answer = session.ask(endpoints.REVOKE_TOKEN, path={"token": token})
    if as_json:
        output.json(answer)
    else:
        output.note(f"Token {token} is no longer valid.")


def _row(token: TokenView) -> tuple[str, ...]:
    return (
        token.id,
        token.user,
        token.workspace,
        ",".join(token.scopes),
        output.ago(token.created_at),
        f"{token.expires_at:%Y-%m-%d}" if token.expires_at else "never",
    )

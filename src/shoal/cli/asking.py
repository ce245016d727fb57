"""What a command asks a person: whether to do it, and where a login does not say enough, what."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence

import click

from shoal.cli import output
from shoal.errors import InvalidRequest
from shoal.wire.accounts import CloudAccount
from shoal.wire.specs import Cloud

_OWNER = {Cloud.GCP: "Project", Cloud.AWS: "Account", Cloud.AZURE: "Subscription"}

Prompt = Callable[[str, Sequence[str]], str]  # a question, and its known answers; none: any


def prompt() -> Prompt | None:
    """None: there is no terminal, so nobody can be asked."""
    return _on_terminal if sys.stdin.isatty() else None


def discovered(
    cloud: Cloud, owner: str | None, region: str | None, ask: Prompt | None
) -> CloudAccount:
    """The account that the login leads to. What it lacks is asked once; raises NotPossible, as
    `logins.discover` does, where nobody can be asked."""
    from shoal.clouds import logins
    from shoal.clouds.catalog import Catalog
    from shoal.clouds.logins.missing import Missing, NotSaid

    while True:
        try:
            return logins.discover(cloud, owner, region)
        except NotSaid as lack:
            if ask is None:
                raise
            if lack.missing is Missing.OWNER:
                owner = ask(f"{lack.message} {_OWNER[cloud]}", lack.known)
            else:
                region = ask(f"{lack.message} Region", Catalog().regions(cloud))


def confirmed(question: str, *, there: bool | None = None) -> None:
    """Or the command ends: with status 1 after a no. Nobody there to answer is a mistake, not a no.
    `there`: whether somebody is; None: look."""
    if not (sys.stdin.isatty() if there is None else there):
        raise InvalidRequest("Nobody can be asked here.", hint="Read the plan, then give --yes.")
    if not click.confirm(question, err=True):
        output.note("Nothing was done.")
        raise click.exceptions.Exit(1)


def _on_terminal(question: str, known: Sequence[str]) -> str:
    def checked(given: str) -> str:
        text = given.strip()
        if not text or (known and text not in known):
            raise click.UsageError(_near(text, known))
        return text

    answer: str = click.prompt(question, value_proc=checked, err=True)
    return answer


def _near(given: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(given, known, 3) or list(known[:10])
    return f"There is no {given!r}. There are: {', '.join(close)}."

"""What `shoal setup` asks a person, where the login does not say whose account or which region."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence

import click

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

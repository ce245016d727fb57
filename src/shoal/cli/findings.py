"""What `shoal doctor` says of one thing it looked at, and how that is shown."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import click
import msgspec

from shoal.clouds import account


class Grade(enum.StrEnum):
    GOOD = "good"
    NOTE = "note"  # works, less well
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True):
    """`shoal doctor --json` is a list of these."""

    check: str
    grade: Grade
    found: str
    fix: str = ""


_COLOURS = {Grade.GOOD: "green", Grade.NOTE: "yellow", Grade.BAD: "red"}


def of_cloud(it: account.Finding) -> Finding:
    if not it.problem:
        return Finding(it.what, Grade.GOOD, it.found or "in order")
    grade = Grade.BAD if it.essential else Grade.NOTE
    told = f"{it.problem} ({it.found})" if it.found else it.problem
    return Finding(it.what, grade, told, it.fix)


def show(findings: Iterable[Finding], *, width: int) -> None:
    """Each as it comes: some take minutes."""
    for it in findings:
        grade = click.style(it.grade.value.ljust(4), fg=_COLOURS[it.grade])
        click.echo(f"{grade}  {it.check.ljust(width)}  {it.found}")
        if it.fix:
            click.echo(f"{' ' * (width + 8)}→ {it.fix}")


def any_bad(findings: Iterable[Finding]) -> bool:
    return any(it.grade is Grade.BAD for it in findings)

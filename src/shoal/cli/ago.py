"""A moment as one writes it on the shell: how long ago, or a date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

_SINCE = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


class Ago(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # as of click 8.4
    """`90m`, `12h`, `30d`, or a date."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        number, unit = text[:-1], text[-1:]
        if unit in _SINCE and number.replace(".", "", 1).isdigit():
            return datetime.now(UTC) - timedelta(seconds=float(number) * _SINCE[unit])
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no time: give 90m, 12h, 30d or 2026-11-23.", param, ctx)
        return at if at.tzinfo else at.astimezone()

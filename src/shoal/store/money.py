"""What VMs' rows say of money, for the engine to sum up; core/cost.py says it of structs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Float, case, cast, func, literal, type_coerce

from shoal.store import tables

_instance = tables.instance
_HOUR_S, _SECOND = 3600.0, 1_000_000.0

PRICED: ColumnElement[bool] = _instance.c.price_uusd_per_hour.is_not(None)
PRICE = _instance.c.price_uusd_per_hour + _instance.c.extras_uusd_per_hour


def billed_s(
    now: ColumnElement[int], since: ColumnElement[int] | None = None
) -> ColumnElement[float]:
    """Seconds until `now` that were paid for, or that part of them that is after `since`; both in
    microseconds, as moments are stored."""
    begin = _number(_instance.c.launched_at)
    if since is not None:
        begin = _larger(begin, since)
    end = func.coalesce(_number(_instance.c.gone_at), now)
    lasted = func.coalesce(_larger(end - begin, literal(0, BigInteger)), 0)
    return type_coerce(cast(lasted, Float) / _SECOND, Float)


def uusd(seconds: ColumnElement[float]) -> ColumnElement[float]:
    """What a VM of a known price costs in that time, with what it needs beside itself."""
    return seconds * cast(PRICE, Float) / _HOUR_S


def uusd_per_hour() -> ColumnElement[int]:
    return case((PRICED, PRICE), else_=0)


def _number(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    """Microseconds, as they are stored."""
    return type_coerce(moment, BigInteger)


def _larger(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """NULL where the first is."""
    return case((one < other, other), else_=one)

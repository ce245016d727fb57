"""Errors as they travel: RFC 9457 problem+json with a stable code."""

from __future__ import annotations

import msgspec

from shoal import errors

MEDIA_TYPE = "application/problem+json"

_STATUS: dict[type[errors.ShoalError], int] = {
    errors.InvalidRequest: 422,
    errors.NotPossible: 422,
    errors.NotAllowed: 403,
    errors.NotLoggedIn: 401,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.LimitExceeded: 409,
    errors.StoreFault: 503,
    errors.CloudError: 409,
}


class Problem(msgspec.Struct, frozen=True):
    type: str  # the code's page in the docs
    title: str
    status: int
    code: str
    detail: str
    hint: str = ""


def from_error(error: errors.ShoalError) -> Problem:
    status = next((s for kind, s in _STATUS.items() if type(error) is kind), None)
    if status is None:
        status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)
    title = error.code.replace("-", " ").capitalize()
    page = f"https://shoal.readthedocs.io/reference/errors#{error.code}"
    return Problem(page, title, status, error.code, error.message, error.hint)


def to_error(problem: Problem) -> errors.ShoalError:
    return errors.from_code(problem.code, problem.detail, problem.hint)

"""The errors that users of Shoal meet: one tree, each with a sentence and a next step.

    ShoalError                    Shoal says no; has `message`, `hint` and a stable `code`
    ├── InvalidRequest            what was asked cannot be: a name, a size, a contradiction
    │   └── NotPossible           well-formed, but nothing fits (no such machine, region, package)
    ├── NotAllowed                who asks may not
    │   └── NotLoggedIn           nobody is asking
    ├── NotFound                  the thing named is not there
    ├── Conflict                  it is there already, or changed meanwhile
    ├── LimitExceeded             a limit or a budget holds it back
    ├── ServerUnreachable         the control plane does not answer
    ├── ServerFault               the control plane failed: always our bug
    ├── StoreFault                the record cannot be read or written (disk full, locked, too new)
    ├── ClusterFailed             a cluster could not start, or ended before it was used
    ├── EnvironmentFailed         an environment could not be scanned, locked, built or realised
    └── CloudError                a cloud did not do what was asked (the four: clouds/provider.py)

The codes are on the wire (problem+json) and in docs/reference/errors.md. Knows nothing of HTTP.
"""

from __future__ import annotations

from typing import ClassVar


class ShoalError(Exception):
    """What happened, in a sentence for the user, and what to do next."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class InvalidRequest(ShoalError, ValueError):
    code = "invalid-request"


class NotPossible(InvalidRequest):
    code = "not-possible"


class NotAllowed(ShoalError, PermissionError):
    code = "not-allowed"


class NotLoggedIn(NotAllowed):
    code = "not-logged-in"


class NotFound(ShoalError, LookupError):
    code = "not-found"


class Conflict(ShoalError):
    code = "conflict"


class LimitExceeded(ShoalError):
    code = "limit-exceeded"


class ServerUnreachable(ShoalError, ConnectionError):
    code = "server-unreachable"


class ServerFault(ShoalError):
    code = "server-fault"


class StoreFault(ShoalError):
    code = "store-fault"


class ClusterFailed(ShoalError):
    code = "cluster-failed"


class EnvironmentFailed(ShoalError):
    """`passing`: trying again may help, as with a network that was away."""

    code = "environment-failed"
    passing = False


class CloudError(ShoalError):
    code = "cloud-error"


def from_code(code: str, message: str, hint: str = "") -> ShoalError:
    """The error that `code` names, for those who read it off the wire."""
    return _BY_CODE.get(code, ShoalError)(message, hint=hint)


def _tree(kind: type[ShoalError]) -> list[type[ShoalError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _tree(child))]


_BY_CODE: dict[str, type[ShoalError]] = {kind.code: kind for kind in _tree(ShoalError)}

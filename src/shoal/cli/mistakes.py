"""What a person's machine or files do to a command: a line and a next step, no traceback.

Only what no other place names better: errors of the operating system, and of files that are read
by others for us. Anything else is our bug, and shows where it happened.
"""

from __future__ import annotations

import errno

import click

from shoal.errors import InvalidRequest, ShoalError, StoreFault

_HINTS = {
    errno.ENOSPC: "Free some space on that disk, and try again.",
    errno.EDQUOT: "Your quota is used up: free some space, and try again.",
    errno.EACCES: "Look at who owns it and what its permissions are.",
    errno.EPERM: "Look at who owns it and what its permissions are.",
    errno.EROFS: "That file system is read-only: name another place.",
    errno.ENOENT: "Look at how the path is spelt.",
    errno.ENOTDIR: "A part of the path is a file.",
    errno.EMFILE: "Too many files are open: raise the limit, as in ulimit -n 4096.",
}
_MALFORMED = "dask config file"  # dask.config says so while it is imported


def tell(error: ShoalError) -> None:
    click.echo(f"{click.style('Error:', fg='red')} {error.message}", err=True)
    if error.hint:
        click.echo(error.hint, err=True)


def in_words(error: OSError | ValueError) -> ShoalError | None:
    """None: nothing that the person did."""
    if isinstance(error, OSError) and error.errno is not None:
        what = f"{error.filename}: " if error.filename else ""
        said = error.strerror or str(error)
        return StoreFault(f"{what}{said}.", hint=_HINTS.get(error.errno, "See: shoal doctor"))
    if _MALFORMED in str(error):
        said = " ".join(str(error).split())
        return InvalidRequest(
            f"Dask cannot read its configuration: {said}",
            hint="Mend that file; what it may hold: docs.dask.org/en/stable/configuration.html",
        )
    return None

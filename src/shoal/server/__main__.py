"""`python -m shoal.server`: what `shoal server start` runs, in the server's own environment."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import gc
import logging
import os
import sys
from typing import Any

import msgspec

from shoal.errors import InvalidRequest, ShoalError
from shoal.server.desk import Desk
from shoal.server.embedded import place
from shoal.server.settings import Settings, check, flags, given
from shoal.wire.state_directory import StateDirectory, state_directory


def main(arguments: list[str] | None = None) -> int:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for chatty in ("httpx2", "httpcore2", "alembic", "azure"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        settings = check(_settings(arguments))
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with place(StateDirectory(settings.state_dir)):
            _serve(settings)
    except ShoalError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InvalidRequest) else 1
    except OSError as error:
        print(f"Error: {_in_words(error)}", file=sys.stderr)
        return 1
    return 0


def _in_words(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The server cannot run: no space is left on the disk ({error}).\n"
            "Free some and start it again; nothing that was recorded is lost."
        )
    return f"The server cannot run: {error}"


def _serve(settings: Settings) -> None:
    gc.disable()  # until it has started: imports leave little garbage
    from shoal.server.app import serve  # the heavy part, after the arguments are known to be right

    try:
        asyncio.run(serve(settings, ready=_started))
    except* (ShoalError, OSError) as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The one that says why: whatever else failed did so on account of it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _started(desk: Desk) -> None:
    """What is there by now stays: to look for garbage in it takes longer than most requests do."""
    print(f"Shoal listens on {desk.url}", file=sys.stderr, flush=True)
    gc.freeze()
    gc.enable()


def _settings(arguments: list[str] | None) -> Settings:
    """A flag for each field of Settings."""
    parser = argparse.ArgumentParser(
        prog="python -m shoal.server", description=__doc__, allow_abbrev=False
    )
    for flag in flags():
        if flag.kind is bool:
            parser.add_argument(flag.name, action="store_true", default=None, help=flag.help)
        else:
            parser.add_argument(flag.name, help=flag.help)
    named = vars(parser.parse_args(arguments))
    if named["state_dir"] is None:
        named["state_dir"] = str(state_directory().root)
    settings = given(named, os.environ)
    return msgspec.structs.replace(settings, state_dir=settings.state_dir.resolve())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())

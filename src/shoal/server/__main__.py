"""`python -m shoal.server`: what `shoal server start` runs, in the server's own environment."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
from pathlib import Path
from typing import Any

import msgspec

from shoal.errors import ShoalError
from shoal.server.desk import Desk
from shoal.server.embedded import place
from shoal.server.settings import Settings, check
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
        return 1
    except OSError as error:
        print(f"Error: the server cannot run: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(settings: Settings) -> None:
    from shoal.server.app import serve  # the heavy part, after the arguments are known to be right

    try:
        asyncio.run(serve(settings, ready=_tell))
    except* ShoalError as group:
        raise group.exceptions[0] from group
    except* OSError as group:
        raise group.exceptions[0] from group


def _tell(desk: Desk) -> None:
    print(f"Shoal listens on {desk.url}", file=sys.stderr, flush=True)


def _settings(arguments: list[str] | None) -> Settings:
    """A flag for each field of Settings."""
    parser = argparse.ArgumentParser(prog="python -m shoal.server", description=__doc__)
    schema = msgspec.json.schema(Settings, schema_hook=lambda kind: {"type": "string"})
    for field in schema["$defs"]["Settings"]["properties"].items():
        _add_flag(parser, *field)
    given = {k: v for k, v in vars(parser.parse_args(arguments)).items() if v is not None}
    given.setdefault("state_dir", str(state_directory().root))
    given["state_dir"] = str(Path(given["state_dir"]).expanduser().resolve())
    return msgspec.convert(given, Settings, strict=False, dec_hook=_path)


def _add_flag(parser: argparse.ArgumentParser, name: str, schema: dict[str, Any]) -> None:
    flag, text = "--" + name.replace("_", "-"), schema.get("description", "")
    if schema.get("type") == "boolean":
        parser.add_argument(flag, action="store_true", default=None, help=text)
    else:
        parser.add_argument(flag, help=text)


def _path(kind: type, value: Any) -> Any:
    return Path(value) if kind is Path else value


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())

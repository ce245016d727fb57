"""The file that remembers a team's server: `login.json`, 0600, in the user's configuration.

`SHOAL_CONFIG_DIR` names the directory; else `$XDG_CONFIG_HOME/shoal`, else `~/.config/shoal`.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from shoal.client.place import Place
from shoal.errors import InvalidRequest

_HINT = "Look at the address, or log in again: shoal login URL --token TOKEN"


class Login(msgspec.Struct, frozen=True):
    url: str
    token: str

    def __repr__(self) -> str:
        return f"Login({self.url!r}, …)"

    def place(self) -> Place:
        return Place(self.url, self.token, _HINT)


def file() -> Path:
    named = os.environ.get("SHOAL_CONFIG_DIR")
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return (Path(named) if named else Path(base) / "shoal") / "login.json"


def read(path: Path) -> Login | None:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(text, type=Login)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{path} is not a login: {error}", hint=_HINT) from error


def write(path: Path, login: Login) -> None:
    """Replace the file as a whole; it is never readable by others, not even for a moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        target.write(msgspec.json.encode(login))
    draft.replace(path)


def forget(path: Path) -> bool:
    """Whether there was a login."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def unprotected(url: str) -> bool:
    """Whoever is on the way to it reads the token."""
    host = urlsplit(url).hostname or ""
    here = host == "localhost" or host.startswith("127.") or host == "::1"
    return url.startswith("http://") and not here


def address(url: str) -> str:
    """A server's address as it is kept: with a scheme, without a slash at the end."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequest(
            f"{url!r} is not the address of a server",
            hint="Give it as https://shoal.example.org or http://127.0.0.1:8800",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"

"""Where Shoal keeps its state on this machine, and how an embedded server is found there.

One state directory is one embedded server. `SHOAL_STATE_DIR` names it; else
`$XDG_STATE_HOME/shoal`, else `~/.local/state/shoal`. The directory is 0700.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from shoal.errors import InvalidRequest
from shoal.wire.ids import WorkspaceName


class ServerFile(msgspec.Struct, frozen=True):
    """server.json: written by a running embedded server, removed when it ends."""

    url: str
    pid: int
    version: str
    token_file: str
    clouds: tuple[str, ...] = ()  # whose own clients its environment has


class StateDirectory(msgspec.Struct, frozen=True):
    root: Path

    @property
    def server_file(self) -> Path:
        return self.root / "server.json"

    @property
    def server_lock(self) -> Path:
        """Held by the server for its whole life."""
        return self.root / "server.lock"

    @property
    def start_lock(self) -> Path:
        """Held by a client while it starts the server."""
        return self.root / "start.lock"

    @property
    def clouds_file(self) -> Path:
        """Clouds whose own clients this machine's server must have; written by its clients."""
        return self.root / "clouds.json"

    @property
    def token_file(self) -> Path:
        return self.root / "token"

    @property
    def key_file(self) -> Path:
        return self.root / "installation.key"

    @property
    def database_file(self) -> Path:
        return self.root / "shoal.db"

    @property
    def server_log(self) -> Path:
        return self.root / "server.log"

    @property
    def wheels(self) -> Path:
        """Wheels as the server keeps them, a directory for each workspace."""
        return self.root / "wheels"

    def wheels_of(self, workspace: WorkspaceName) -> Path:
        """A workspace's wheels by SHA-256. One that is another's is not here, whoever knows its
        name; that of a workspace may be no file's name, so its hash is."""
        return self.wheels / hashlib.sha256(workspace.encode()).hexdigest()[:32]

    @property
    def cache(self) -> Path:
        """The client's: locks and built wheels. May be deleted at any time."""
        return self.root / "cache"

    @property
    def runtime(self) -> Path:
        """Shoal's own environments (server, agent), apart from the user's."""
        return self.root / "runtime"

    @property
    def catalog(self) -> Path:
        """Machine types and prices as they were found by the last refreshes."""
        return self.root / "catalog"

    @property
    def local_cloud(self) -> Path:
        """The local cloud's VMs."""
        return self.root / "local"

    @property
    def software_store(self) -> Path:
        """Environments realised on this machine, by id; the local cloud's VMs clone them."""
        return self.root / "environments"


def state_directory() -> StateDirectory:
    """The one that the environment names; created 0700 if it is not there."""
    named = os.environ.get("SHOAL_STATE_DIR")
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    root = Path(named) if named else Path(base) / "shoal"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidRequest(
            f"Shoal's state directory {root} cannot be made: {error.strerror or error}.",
            hint="Name another one in SHOAL_STATE_DIR, in a place that you may write to.",
        ) from error
    return StateDirectory(root.resolve())

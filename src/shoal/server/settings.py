"""How a server is told to run: its place, its database, where it listens, when it may end.

Every field is a flag of `shoal server start` and of `python -m shoal.server`; the reference in
docs/reference/settings.md is checked against this struct.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from shoal.errors import InvalidRequest
from shoal.wire.my_address import DEFAULT_URL
from shoal.wire.state_directory import StateDirectory


class Settings(msgspec.Struct, frozen=True):
    state_dir: Annotated[Path, msgspec.Meta(description="Where this server keeps its state.")]
    embedded: Annotated[
        bool, msgspec.Meta(description="One user's server on loopback; ends itself when unused.")
    ] = False
    listen: Annotated[
        str, msgspec.Meta(description="HOST:PORT to listen on; port 0 takes a free one.")
    ] = "127.0.0.1:0"
    database: Annotated[
        str | None,
        msgspec.Meta(description="Database URL; SQLite in the state directory if not given."),
    ] = None
    tls_cert: Annotated[
        Path | None, msgspec.Meta(description="PEM file: the server's certificate and chain.")
    ] = None
    tls_key: Annotated[Path | None, msgspec.Meta(description="PEM file: its private key.")] = None
    behind_proxy: Annotated[
        bool,
        msgspec.Meta(description="Plain HTTP off loopback: a proxy in front of it ends TLS."),
    ] = False
    idle_exit_s: Annotated[
        float,
        msgspec.Meta(description="An embedded server ends when nothing happened for so long."),
    ] = 1800.0
    seen_as: Annotated[
        str,
        msgspec.Meta(description="CIDR that cloud VMs see this server as; asked if not given."),
    ] = ""
    my_address_url: Annotated[
        str, msgspec.Meta(description="URL that answers with the address of whoever asks.")
    ] = DEFAULT_URL
    python_mirror: Annotated[
        str,
        msgspec.Meta(description="URL of uv's Python downloads, for VMs that cannot reach GitHub."),
    ] = ""
    log_days: Annotated[int, msgspec.Meta(description="How long process logs are kept.")] = 14
    history_days: Annotated[
        int,
        msgspec.Meta(description="How long computations, exceptions and signals are kept."),
    ] = 365
    metric_days: Annotated[
        int, msgspec.Meta(description="How long samples of clusters and VMs are kept.")
    ] = 90
    samples_mib: Annotated[
        int,
        msgspec.Meta(description="Logs and samples take so much at most; the oldest go first."),
    ] = 20_480
    max_workers: Annotated[
        int, msgspec.Meta(description="Workers that one cluster may ask for at most.")
    ] = 10_000
    budget_grace_s: Annotated[
        float,
        msgspec.Meta(
            description="What is left of a month's budget must last so long; less starts nothing."
        ),
    ] = 900.0
    otlp_endpoint: Annotated[
        str | None,
        msgspec.Meta(description="OpenTelemetry collector (OTLP over HTTP) for events and spans."),
    ] = None

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(self.state_dir)

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.state.database_file}"

    @property
    def samples_url(self) -> str | None:
        """Disposable samples stay apart from precious facts; a given database holds both."""
        return None if self.database else f"sqlite:///{self.state.root / 'shoal-samples.db'}"


def check(settings: Settings) -> Settings:
    """Refuse what cannot run, or would run in the open."""
    _, colon, port = settings.listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise InvalidRequest(
            f"Cannot listen on {settings.listen!r}.", hint="Give HOST:PORT, as in 0.0.0.0:8780."
        )
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise InvalidRequest("A certificate needs its key.", hint="Give --tls-cert and --tls-key.")
    loopback = settings.host in ("localhost", "::1") or settings.host.startswith("127.")
    if not loopback and settings.tls_cert is None and not settings.behind_proxy:
        raise InvalidRequest(
            f"{settings.listen} is not loopback, and tokens would travel in clear.",
            hint="Give --tls-cert and --tls-key, or --behind-proxy if a proxy ends TLS.",
        )
    return settings

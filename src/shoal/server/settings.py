"""How a server is told to run: its place, its database, where it listens, when it may end.

Every field is a flag of `python -m shoal.server` and, but for the first two, of `shoal server
start` and a variable SHOAL_SERVER_…; all of them and docs/reference/settings.md are made from this
struct.
"""

from __future__ import annotations

import ipaddress
import ssl
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

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
        msgspec.Meta(
            gt=0, description="An embedded server ends when nothing happened for so long."
        ),
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
    log_days: Annotated[int, msgspec.Meta(ge=1, description="Days that process logs are kept.")] = (
        14
    )
    history_days: Annotated[
        int,
        msgspec.Meta(ge=1, description="Days that computations, exceptions, signals are kept."),
    ] = 365
    metric_days: Annotated[
        int, msgspec.Meta(ge=1, description="Days that samples of clusters and VMs are kept.")
    ] = 90
    samples_mib: Annotated[
        int,
        msgspec.Meta(
            ge=1, description="Logs and samples take so much at most; the oldest go first."
        ),
    ] = 20_480
    environment_days: Annotated[
        int,
        msgspec.Meta(
            ge=1, description="Days that wheels and installed copies of unused environments stay."
        ),
    ] = 30
    max_workers: Annotated[
        int, msgspec.Meta(ge=0, description="Workers that one cluster may ask for at most.")
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


TEAM = ("listen", "database", "tls_cert", "tls_key", "behind_proxy")  # an embedded one has its own
OF_THE_PLACE = ("state_dir", "embedded")  # not chosen by a flag of `shoal server start`


class Flag(msgspec.Struct, frozen=True):
    """A field of Settings as it is given from outside."""

    field: str
    kind: type  # str, int, float, bool or Path
    help: str
    default: object  # None: no value

    @property
    def name(self) -> str:
        return f"--{self.field.replace('_', '-')}"

    @property
    def variable(self) -> str:
        if self.field in OF_THE_PLACE:
            return "SHOAL_STATE_DIR" if self.field == "state_dir" else ""
        return f"SHOAL_SERVER_{self.field.upper()}"


def flags() -> tuple[Flag, ...]:
    schema = msgspec.json.schema(Settings, schema_hook=lambda kind: {"type": "string"})
    told = schema["$defs"]["Settings"]["properties"]
    return tuple(
        Flag(it.name, _kind(it.type), told[it.name].get("description", ""), _default(it))
        for it in msgspec.structs.fields(Settings)
    )


def given(named: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """From flags by their fields, and from variables where a flag is not given. An embedded
    server does not take a team's settings from variables: it is one person's, on loopback."""
    found = {name: value for name, value in named.items() if value is not None}
    for flag in flags():
        if flag.field in OF_THE_PLACE or (found.get("embedded") and flag.field in TEAM):
            continue
        if flag.field not in found and (text := environ.get(flag.variable, "")):
            found[flag.field] = text
    try:
        return msgspec.convert(found, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise _not_right(str(error), found) from error


def _path(kind: type, value: Any) -> Any:
    return Path(value).expanduser() if kind is Path else value


def _not_right(said: str, found: Mapping[str, Any]) -> InvalidRequest:
    what, _, where = said.partition(" - at `$.")
    [flag] = [it for it in flags() if it.field == where.rstrip("`")]
    return InvalidRequest(
        f"{flag.name} cannot be {found[flag.field]!r}: {what[:1].lower()}{what[1:]}.",
        hint=f"It is given by {flag.name}, or by {flag.variable} in the environment.",
    )


def _default(field: msgspec.structs.FieldInfo) -> object:
    return None if field.default is msgspec.NODEFAULT else field.default


def _kind(told: Any) -> type:
    """Of what is given: without its bounds, and without the None of what is not given."""
    for part in typing.get_args(told):
        if typing.get_args(part) or (isinstance(part, type) and part is not type(None)):
            return _kind(part)
    kind: type = told
    return kind


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
    _check_certificate(settings)
    _check_addresses(settings)
    return settings


def _check_certificate(settings: Settings) -> None:
    if settings.tls_cert is None or settings.tls_key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.tls_cert, settings.tls_key, password=""
        )
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"{settings.tls_cert} and {settings.tls_key} cannot be used: {error}.",
            hint="Give PEM files: the certificate with its chain, and its key without a password.",
        ) from error


def _check_addresses(settings: Settings) -> None:
    if settings.seen_as:
        try:
            ipaddress.ip_network(settings.seen_as)
        except ValueError as error:
            raise InvalidRequest(
                f"--seen-as {settings.seen_as!r} is not a network: {error}.",
                hint="Give a CIDR, as in 203.0.113.7/32.",
            ) from error
    for name, url in (
        ("--otlp-endpoint", settings.otlp_endpoint),
        ("--my-address-url", settings.my_address_url),
    ):
        if url is not None and not url.startswith(("http://", "https://")):
            raise InvalidRequest(
                f"{name} {url!r} is not the address of an HTTP server.",
                hint="As in http://collector.example.org:4318.",
            )

"""Keyword arguments of `shoal.Cluster` -> what is asked of the server, checked.

Pure: everything that can be wrong without asking anybody is an InvalidRequest here, before
anything exists. Sizes of real machines, regions and limits are the server's to check.
docs/reference/cluster.md describes the arguments for users.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict

import msgspec

from shoal.client import configuration, hardware, sizes, values
from shoal.errors import InvalidRequest
from shoal.wire.ids import EnvironmentId
from shoal.wire.specs import (
    NOT_TO_BE_ASKED_FOR,
    Cloud,
    ClusterSpec,
    DaskOptions,
    SpotPolicy,
    StopRules,
    Workers,
)

Size = str | int | Sequence[str] | Sequence[int] | None
Duration = str | float | timedelta | None
_Values = Mapping[str, object]  # of each setting, wherever it comes from

MOST_WORKERS = 100_000
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_TAG_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_CLOUD_WORKERS = Workers(minimum=4, wanted=4, maximum=20)


class Options(TypedDict, total=False):
    """Keyword arguments of `shoal.Cluster`. What is not given comes from dask.config."""

    n_workers: int | Sequence[int] | None
    cloud: str | None
    region: str | None
    zone: str | None
    worker_cpu: int | Sequence[int] | None
    worker_memory: Size
    worker_vm_types: str | Sequence[str] | None
    worker_gpu: int | bool | None
    worker_gpu_type: str | None
    worker_disk_size: str | int | None
    scheduler_cpu: int | Sequence[int] | None
    scheduler_memory: Size
    scheduler_vm_types: str | Sequence[str] | None
    arm: bool
    spot_policy: str
    use_best_zone: bool
    allow_cross_zone: bool
    software: str | None
    package_sync_ignore: Sequence[str] | None
    package_sync_only: Sequence[str] | None
    package_sync_strict: bool
    environ: Mapping[str, str] | None
    worker_options: Mapping[str, Any] | None
    scheduler_options: Mapping[str, Any] | None
    worker_class: str | type
    credentials: str | None
    tags: Mapping[str, str] | None
    idle_timeout: Duration
    no_client_timeout: Duration
    cluster_timeout: Duration
    timeout: Duration
    wait_for_workers: bool | int | float | None
    shutdown_on_close: bool | None
    allow_ingress_from: str
    workspace: str | None
    asynchronous: bool
    show_widget: bool


class Software(msgspec.Struct, frozen=True):
    """Where the environment comes from: a file or a stored name, else a copy of the local one."""

    named: str = ""
    ignore: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    strict: bool = False


class Asked(msgspec.Struct, frozen=True):
    """All that one `Cluster(…)` asks. The spec lacks its environment, and its name if empty."""

    spec: ClusterSpec
    software: Software
    wait_for: int  # workers, before the cluster is given to the user
    shutdown_on_close: bool | None  # None: if this session creates it
    forward_credentials: bool
    workspace: str | None
    asynchronous: bool
    show_widget: bool


def asked(name: str | None, options: Mapping[str, object], *, local_cpus: int) -> Asked:
    """`local_cpus`: of this machine, for the defaults of the local cloud."""
    given = _detached(options, _gather(options))
    cloud = values.one_of("cloud", given["cloud"], Cloud)
    if cloud in NOT_TO_BE_ASKED_FOR:
        raise InvalidRequest(NOT_TO_BE_ASKED_FOR[cloud][0], hint=NOT_TO_BE_ASKED_FOR[cloud][1])
    workers = _workers(given["n_workers"], _default_workers(cloud, local_cpus))
    name = name if name is not None else values.text("name", configuration.value("name"))
    return Asked(
        spec=_spec(_name(name), cloud, workers, given),
        software=_software(given),
        wait_for=_wait_for(given["wait_for_workers"], workers),
        shutdown_on_close=values.optional(
            "shutdown_on_close", given["shutdown_on_close"], values.flag
        ),
        forward_credentials=_credentials(given["credentials"]),
        workspace=values.text("workspace", given["workspace"]),
        asynchronous=values.flag("asynchronous", given["asynchronous"]),
        show_widget=values.flag("show_widget", given["show_widget"]),
    )


def workers(n_workers: object) -> Workers:
    """What `scale` and `adapt` ask, checked in the same words."""
    return _workers(n_workers, _CLOUD_WORKERS)


def bounded(now: Workers, minimum: int | None, maximum: int | None) -> Workers:
    """What `adapt` asks; a bound that is not given stays."""
    low = now.minimum if minimum is None else minimum
    high = max(low, now.maximum) if maximum is None else maximum
    start = min(max(now.wanted, low), high)
    return msgspec.structs.replace(workers([low, high]), wanted=start)


def environment_file(named: str) -> bool:
    """Whether `software` is a file's path: no name of a stored environment has any of these."""
    return any(it in named for it in "./\\")


def _gather(options: Mapping[str, object]) -> _Values:
    known = Options.__annotations__
    for unknown in options.keys() - known.keys():
        raise InvalidRequest(
            f"Cluster has no argument {unknown!r}", hint=values.close(unknown, [*known, "name"])
        )
    return {name: _value(name, options) for name in known}


def _detached(options: Mapping[str, object], given: _Values) -> _Values:
    """A cluster that outlives its session is not to end for want of a client, unless somebody said
    after how long."""
    said = "no_client_timeout" in options or not configuration.is_default("no_client_timeout")
    if given["shutdown_on_close"] is not False or said:
        return given
    return {**given, "no_client_timeout": None}


def _value(name: str, options: Mapping[str, object]) -> object:
    """A keyword wins. None is a word of its own where it switches something off, else "default"."""
    if name not in options:
        return configuration.value(name)
    if options[name] is None and name not in _NONE_MEANS_OFF:
        return configuration.default(name)
    return options[name]


_NONE_MEANS_OFF = frozenset({"idle_timeout", "no_client_timeout", "cluster_timeout", "credentials"})


def _spec(name: str, cloud: Cloud, workers: Workers, given: _Values) -> ClusterSpec:
    zone = values.text("zone", given["zone"])
    cross = values.flag("allow_cross_zone", given["allow_cross_zone"])
    if zone and cross:
        raise InvalidRequest(
            f"zone={zone!r} with allow_cross_zone=True: one zone or several, not both",
            hint="Leave one of them out",
        )
    worker, scheduler = hardware.for_one_environment(
        cloud, hardware.worker(cloud, given), hardware.scheduler(cloud, given)
    )
    return ClusterSpec(
        name=name,
        cloud=cloud,
        workers=workers,
        environment=EnvironmentId(""),
        region=values.text("region", given["region"]),
        zone=zone,
        worker=worker,
        scheduler=scheduler,
        spot_policy=values.one_of("spot_policy", given["spot_policy"], SpotPolicy),
        use_best_zone=values.flag("use_best_zone", given["use_best_zone"]),
        allow_cross_zone=cross,
        dask=_dask(given),
        stop=StopRules(
            idle_timeout_s=sizes.seconds_or_none("idle_timeout", given["idle_timeout"]),
            no_client_timeout_s=sizes.seconds_or_none(
                "no_client_timeout", given["no_client_timeout"]
            ),
            cluster_timeout_s=sizes.seconds_or_none("cluster_timeout", given["cluster_timeout"]),
        ),
        creation_timeout_s=sizes.seconds("timeout", given["timeout"]),
        tags=_tags(given["tags"]),
        allow_ingress_from=_ingress(given["allow_ingress_from"]),
    )


def _name(name: str | None) -> str:
    """Empty: one is to be made up."""
    if name is None or name == "":
        return ""
    if not isinstance(name, str):
        raise InvalidRequest(f"name={name!r} is not text")
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")
        hint = f"As in {near!r}" if _NAME.fullmatch(near) else 'As in "my-cluster"'
        raise InvalidRequest(
            f"name={name!r}: a name has 1 to 63 characters a-z, 0-9 and -, begins with a letter "
            "and does not end with -",
            hint=hint,
        )
    return name


def _default_workers(cloud: Cloud, cpus: int) -> Workers:
    """On one's own machine adaptive too, within its CPUs: it starts half way."""
    if cloud is not Cloud.LOCAL:
        return _CLOUD_WORKERS
    return Workers(minimum=1, wanted=max(1, (cpus + 1) // 2), maximum=max(1, cpus))


def _workers(given: object, default: Workers) -> Workers:
    if given is None:
        return default
    numbers = list(given) if isinstance(given, list | tuple) else [given]
    counts = [sizes.count("n_workers", number) for number in numbers]
    match counts:
        case [only]:
            low, start, high = only, only, only
        case [low, high]:
            start = low
        case [low, start, high]:
            pass
        case _:
            raise InvalidRequest(
                f"n_workers={given!r} has {len(counts)} values",
                hint="Give n, [min, max] or [min, start, max]",
            )
    if not 0 <= low <= start <= high <= MOST_WORKERS:
        raise InvalidRequest(
            f"n_workers={given!r}: must be 0 ≤ min ≤ start ≤ max ≤ {MOST_WORKERS}",
            hint="Give n, [min, max] or [min, start, max]",
        )
    return Workers(minimum=low, wanted=start, maximum=high)


def _wait_for(given: object, workers: Workers) -> int:
    """A bool (all or none), a count, or a fraction of the workers at the start."""
    wanted = workers.wanted
    if isinstance(given, bool):
        return wanted if given else 0
    if isinstance(given, float) and 0 <= given <= 1:
        return math.ceil(given * wanted)
    if isinstance(given, int) and given >= 0:
        if given > workers.maximum:
            raise InvalidRequest(
                f"wait_for_workers={given}: there will never be more than {workers.maximum}",
                hint="Ask for more workers (n_workers) or wait for fewer",
            )
        return given
    raise InvalidRequest(
        f"wait_for_workers={given!r} is not a number of workers",
        hint="Give True, False, a count, or a fraction from 0.0 to 1.0",
    )


def _dask(given: _Values) -> DaskOptions:
    return DaskOptions(
        environ=_environ(given["environ"]),
        worker_options=_plain("worker_options", given["worker_options"]),
        scheduler_options=_plain("scheduler_options", given["scheduler_options"]),
        worker_class=_class_path(given["worker_class"]),
    )


def _environ(given: object) -> dict[str, str]:
    items = values.mapping("environ", given)
    for name, value in items.items():
        if not name or "=" in name or "\0" in name:
            raise InvalidRequest(f"environ: {name!r} is not the name of a variable")
        if not isinstance(value, str | int | float):
            raise InvalidRequest(
                f"environ[{name!r}] is {type(value).__name__}, not text",
                hint="Text and numbers can be variables; bytes must be decoded first",
            )
    return {name: str(value) for name, value in items.items()}


def _plain(name: str, given: object) -> dict[str, Any]:
    """What travels as JSON."""
    items = values.mapping(name, given)
    for key, value in items.items():
        try:
            msgspec.json.encode(value)
        except (TypeError, msgspec.ValidationError) as error:
            raise InvalidRequest(
                f"{name}[{key!r}] cannot be sent: {error}",
                hint="Numbers, text, lists and dictionaries can; set the rest with a plugin",
            ) from error
    return items


def _class_path(given: object) -> str:
    if isinstance(given, type):
        if given.__module__ == "__main__" or "<" in given.__qualname__:
            raise InvalidRequest(
                f"worker_class={given.__qualname__} exists in this session only",
                hint="Put it into a module and give its path: 'my_module.MyWorker'",
            )
        return f"{given.__module__}.{given.__qualname__}"
    path = values.text("worker_class", given) or ""
    if not all(part.isidentifier() for part in path.split(".")) or "." not in path:
        raise InvalidRequest(
            f"worker_class={path!r} is not the path of a class", hint="As in 'distributed.Worker'"
        )
    return path


def _software(given: _Values) -> Software:
    software = Software(
        named=values.text("software", given["software"]) or "",
        ignore=values.names("package_sync_ignore", given["package_sync_ignore"]),
        only=values.optional("package_sync_only", given["package_sync_only"], values.names),
        strict=values.flag("package_sync_strict", given["package_sync_strict"]),
    )
    filters = software.ignore or software.only is not None or software.strict
    if software.named and filters:
        raise InvalidRequest(
            f"software={software.named!r} together with a package_sync_… argument",
            hint="They filter a copy of the local environment: give one or the other",
        )
    both = sorted(set(software.ignore) & set(software.only or ()))
    if both:
        raise InvalidRequest(f"{', '.join(both)}: in package_sync_ignore and in package_sync_only")
    return software


def _credentials(given: object) -> bool:
    if given not in (None, "local"):
        raise InvalidRequest(
            f"credentials={given!r}",
            hint='"local" forwards this machine\'s identity, None does not',
        )
    return given == "local"


def _tags(given: object) -> dict[str, str]:
    items = values.mapping("tags", given)
    if len(items) > 40:
        raise InvalidRequest(f"{len(items)} tags: clouds take no more than 40")
    for key, value in items.items():
        if not _TAG_KEY.fullmatch(key) or not isinstance(value, str) or len(value) > 255:
            raise InvalidRequest(
                f"tags: {key!r}: {value!r}",
                hint="A key has up to 63 letters, digits, _ . -; a value is text, up to 255 long",
            )
        if key.lower().startswith("shoal"):
            raise InvalidRequest(f"tags: {key!r}: names that begin with shoal are Shoal's own")
    return {str(key): str(value) for key, value in items.items()}


def _ingress(given: object) -> str:
    text = values.text("allow_ingress_from", given) or "me"
    if text in ("me", "everyone"):
        return text
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise InvalidRequest(
            f"allow_ingress_from={text!r}",
            hint='Give "me", "everyone", or a CIDR as 203.0.113.0/24',
        ) from error

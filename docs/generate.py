"""Write the reference from the code, or (--check) fail when it says something else.

Made here: settings, CLI, API endpoints, event kinds, states and errors. Their words are those of
the code: a docstring or a comment that stands beside an enum member is its description.
"""

from __future__ import annotations

import argparse
import enum
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from shoal import errors
from shoal.cli.main import cli
from shoal.clouds import provider
from shoal.clouds.account import Permission
from shoal.clouds.aws import names as aws_names
from shoal.clouds.aws import permissions as aws
from shoal.clouds.azure import names as azure_names
from shoal.clouds.azure import permissions as azure
from shoal.clouds.gcp import permissions as gcp
from shoal.core import batches
from shoal.core.records import EndKind
from shoal.core.signals import RULES
from shoal.server.settings import flags
from shoal.wire import problems
from shoal.wire.endpoints import ENDPOINTS, EVERYWHERE
from shoal.wire.events import EventKind
from shoal.wire.telemetry import Severity, SignalKind
from shoal.wire.views import ClusterStatus, InstanceState, Stage

REFERENCE = Path(__file__).parent / "reference"
_NOTE = "<!-- Written by docs/generate.py from the code: change it there. -->\n\n"


def pages() -> dict[str, str]:
    return {
        "settings.md": "# Settings of the server\n\n" + _settings(),
        "cli.md": "# Commands\n\n" + "\n".join(_commands(cli, "shoal")),
        "api.md": "# The HTTP API\n\n" + _api(),
        "events.md": "# Event kinds\n\n" + _enum(EventKind),
        "states.md": "# States and stages\n\n" + _states(),
        "errors.md": "# Errors\n\n" + _errors(),
        "signals.md": "# Signals\n\n" + _signals(),
        "permissions.md": "# Permissions and tags\n\n" + _permissions(),
    }


def _settings() -> str:
    rows = [
        f"| `{it.name}` | {f'`{it.variable}`' if it.variable else ''} | {it.help} "
        f"| {'' if it.default is None else f'`{it.default}`'} |"
        for it in flags()
    ]
    return (
        "Flags of `shoal server start`, or variables in the environment that it is started in; the "
        "flag goes before the variable. `--state-dir` and `--embedded` are flags of "
        "`python -m shoal.server` alone. A machine's own server is started when it is needed: it "
        "takes the variables, but those of a team's server (`--listen`, `--database`, "
        "`--tls-cert`, `--tls-key`, `--behind-proxy`).\n\n"
        + _table("flag | variable | meaning | default", rows)
    )


def _commands(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path, terminal_width=88)
    if not isinstance(command, click.Group):
        yield f"## `{path}`\n"
        yield "```text\n" + click.unstyle(command.get_help(context)).rstrip() + "\n```\n"
        return
    for name in sorted(command.list_commands(context)):
        below = command.get_command(context, name)
        if below is not None and not below.hidden:
            yield from _commands(below, f"{path} {name}")


def _api() -> str:
    rows = []
    for it in ENDPOINTS:
        problem = ", ".join(f"`{kind.code}`" for kind in it.problems)
        rows.append(f"| `{it.method} {it.path}` | {it.summary} | {it.scope} | {problem} |")
    anywhere = ", ".join(f"`{kind.code}`" for kind in EVERYWHERE)
    return (
        "`GET /v1/openapi.json` is the whole schema. Every request carries "
        f"`Authorization: Bearer <token>`. Any endpoint may answer with {anywhere}.\n\n"
        + _table("endpoint | what it does | scope | problems", rows)
    )


def _states() -> str:
    parts = [(ClusterStatus, "Cluster"), (InstanceState, "Instance"), (Stage, "Stage of a VM")]
    text = [f"## {title}\n\n{_own_words(kind)}\n\n{_enum(kind)}" for kind, title in parts]
    return "\n".join([*text, f"## Who ended a cluster\n\n{_enum(EndKind)}"])


def _signals() -> str:
    """Each rule of core/signals; a kind without a rule would be missing here."""
    rules = {it.kind: it for it in RULES}
    rows = [
        f"| `{kind.value}` | {rules[kind].severity.value} | {rules[kind].title} "
        f"| {rules[kind].threshold} | `{rules[kind].argument}` |"
        for kind in SignalKind
    ]
    severities = "\n".join(f"* {it.value}: {_comments(Severity)[it.name]}" for it in Severity)
    return (
        "What deserves attention in a cluster, found from its samples every ten seconds while it "
        "runs, and kept when it does not show any more. Each comes with its evidence (when, which "
        "workers, what was measured) and advice that names the argument to change. "
        "`shoal cluster show`, `cluster.details()`, `GET /v1/signals` and the cluster's page tell "
        "them.\n\n"
        + _table("kind | severity | what it says | it shows when | change", rows)
        + f"\n{severities}\n"
        + _SIGNALS_LIMIT
    )


_SIGNALS_LIMIT = """
`cross-zone` knows the zones of the cluster's own VMs and what workers send each other. It does not
know where the buckets and databases are that tasks read and write: neither Dask nor the credentials
tell. Data that comes from another region, for which clouds charge as well, shows as the workers'
incoming traffic on the cluster's page and as nothing else. Start a cluster where its data is:
`region=`.
"""


def _permissions() -> str:
    text = [_PERMISSIONS]
    for cloud, told in (("Google Cloud", gcp), ("AWS", aws), ("Azure", azure)):
        text += [f"## {cloud}\n", "The server's identity:\n", _allowed(told.ALL)]
        if once := getattr(told, "SETUP", ()):
            text += ["Whoever runs `shoal setup`, besides, once:\n", _allowed(once)]
    return "\n".join([*text, "## Tags\n", _tags()])


_PERMISSIONS = """\
What is allowed to whom in a cloud account, each with the reason, and the tags by which Shoal knows
its own. `shoal doctor CLOUD` says which are missing; `shoal setup CLOUD --print` prints a role with
exactly those of the server.
"""


def _allowed(permissions: Iterable[Permission]) -> str:
    return _table("permission | why", [f"| `{it.name}` | {it.why} |" for it in permissions])


def _tags() -> str:
    rows = [
        (batches.INSTALLATION_TAG, "the installation: only what bears it is listed, and ended"),
        (batches.CLUSTER_TAG, "the cluster's id"),
        (batches.BATCH_TAG, "the request that asked for it; a repeated one finds it by that"),
        (batches.NAME_TAG, "the cluster's name"),
    ]
    made = f"`{aws_names.SETUP_TAG}` on AWS, `{azure_names.MADE_BY_TAG}` on Azure"
    return (
        "On each VM and its disk, and on whatever else of it can have tags, in the same call that "
        "makes it; beside them those of `Cluster(tags=…)`. Google Cloud calls them labels.\n\n"
        + _table("tag | what it says", [f"| `{tag}` | {said} |" for tag, said in rows])
        + f"\nWhat `shoal setup` made bears {made}; Google Cloud has no tags for networks, so a "
        "description says it there. Only that is taken away by `--remove`.\n"
    )


def _own_words(kind: type[enum.StrEnum]) -> str:
    return inspect.cleandoc(kind.__dict__.get("__doc__") or "")


def _enum(kind: type[enum.StrEnum]) -> str:
    told = _comments(kind)
    if silent := [it.name for it in kind if not told.get(it.name)]:
        raise SystemExit(
            f"{kind.__name__}.{silent[0]} is not documented: say in a comment beside it."
        )
    return _table("word | meaning", [f"| `{it.value}` | {told[it.name]} |" for it in kind])


def _comments(kind: type[enum.StrEnum]) -> dict[str, str]:
    found = re.findall(r"^    (\w+) = \"[^\"]*\"(?:  # (.*))?$", inspect.getsource(kind), re.M)
    return dict(found)


def _errors() -> str:
    kinds = [*_tree(errors.ShoalError)]
    rows = []
    for kind in kinds:
        if provider.__name__ == kind.__module__ or kind.__module__ == errors.__name__:
            status = problems.from_error(_sample(kind)).status
            rows.append(f'| <a id="{kind.code}"></a>`{kind.code}` | `{kind.__name__}` | {status} |')
    return (
        (inspect.getdoc(errors) or "").partition("\n\n")[0]
        + "\n\n```text\n"
        + _picture()
        + ("\n```\n\n" + _table("code | class | HTTP status", rows))
    )


def _sample(kind: type[errors.ShoalError]) -> errors.ShoalError:
    made = kind.__new__(kind)
    errors.ShoalError.__init__(made, "")
    return made


def _picture() -> str:
    lines = (errors.__doc__ or "").splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    "))


def _tree(kind: type[errors.ShoalError]) -> Iterator[type[errors.ShoalError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


def _table(head: str, rows: list[str]) -> str:
    columns = head.count("|") + 1
    return "\n".join([f"| {head} |", "|" + " --- |" * columns, *rows]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    stale = []
    for name, text in pages().items():
        page, title_end = REFERENCE / name, text.index("\n\n") + 2
        wanted = text[:title_end] + _NOTE + text[title_end:]
        if not page.exists() or page.read_text() != wanted:
            stale.append(name)
            if not check:
                page.write_text(wanted)
    if stale and check:
        print(f"docs/reference is behind the code: {', '.join(stale)}. Run: make docs")
        return 1
    print(f"docs/reference: {len(stale)} pages written" if stale else "docs/reference: up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())

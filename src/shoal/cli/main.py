"""`shoal`: the table of commands, and how a run ends.

Exit status: 0, done; 1, refused or failed; 2, asked in a way that cannot be; 130, interrupted.
A user's mistake never shows a traceback.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from typing import NamedTuple

import click

from shoal.cli import mistakes
from shoal.errors import InvalidRequest, ShoalError
from shoal.version import VERSION

INTERRUPTED = 130


class Lazy(NamedTuple):
    module: str  # holds the command under the name `command`
    summary: str


COMMANDS = {
    "demo": Lazy("demo", "See it work: a real data set on a cluster on this machine."),
    "cluster": Lazy("cluster", "Clusters: list, show, top, logs, stop, ssh, events, explain."),
    "env": Lazy("env", "The environment that clusters get a copy of: scan, show."),
    "cost": Lazy("cost", "What a cluster has cost, VM by VM."),
    "limits": Lazy("limits", "Limits and budgets of a workspace and its users: show, set, clear."),
    "history": Lazy("history", "What was computed, by which line of code; past clusters too."),
    "setup": Lazy("setup", "Prepare a cloud account for clusters: gcp, aws, azure."),
    "offers": Lazy("offers", "Machine types with their prices."),
    "server": Lazy("server", "The control plane: start, stop, status."),
    "login": Lazy("login", "Use a team's server from now on."),
    "token": Lazy("token", "API tokens of a team's server: create, list, revoke."),
    "doctor": Lazy(
        "doctor", "What may be in the way, here or in a cloud account, each with its fix."
    ),
    "completion": Lazy("completion", "A script that completes commands in your shell."),
}


class Commands(click.Group):
    """Imports a command when it is run; help needs the table alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"shoal.cli.{COMMANDS[cmd_name].module}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=3)
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"There is no command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="shoal", message="%(prog)s %(version)s")
def cli() -> None:
    """Dask clusters on your own cloud account, with the environment you already have.

    Example: shoal demo
    """


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status of `shoal ARGUMENTS`."""
    try:
        status = cli.main(arguments, prog_name="shoal", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ShoalError as error:
        mistakes.tell(error)
        return 2 if isinstance(error, InvalidRequest) else 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # `shoal … | head`: Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, ValueError) as error:
        mistake = mistakes.in_words(error)
        if mistake is None:
            raise
        mistakes.tell(mistake)
        return 2 if isinstance(mistake, InvalidRequest) else 1
    return status if isinstance(status, int) else 0

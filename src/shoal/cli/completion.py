"""`shoal completion`: a script for the shell that completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a script that completes `shoal` in your shell.

    \b
    Examples:
      bash   shoal completion bash >> ~/.bashrc
      zsh    shoal completion zsh >> ~/.zshrc
      fish   shoal completion fish > ~/.config/fish/completions/shoal.fish
    """
    from shoal.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(kind(cli, {}, "shoal", "_SHOAL_COMPLETE").source())

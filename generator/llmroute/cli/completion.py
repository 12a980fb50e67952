"""``llmroute completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from llmroute.cli.exits import COMPLETE, Failure

SHELLS: Final = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a script for a shell to read at its start: source <(llmroute completion bash)."""
    kind = get_completion_class(shell)
    if kind is None:
        raise Failure(f"click knows no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "llmroute", COMPLETE).source(), nl=False)

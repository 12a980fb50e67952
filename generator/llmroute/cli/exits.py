"""Exit codes: 0 fine, 1 findings or failures, 2 usage (click's own code for it)."""

from __future__ import annotations

from typing import Final

import click

FINDINGS: Final = 1
USAGE: Final = 2
COMPLETE: Final = "_LLMROUTE_COMPLETE"
"""The environment variable by which a shell asks for completions."""


class _OneLine(click.ClickException):
    """Ends the command with one line for the user."""

    def show(self, file: object = None) -> None:
        """Print the message on standard error."""
        del file
        click.echo(f"llmroute: {self.message}", err=True)


class Failure(_OneLine):
    """Something that could not be done; exit code 1."""

    exit_code = FINDINGS


class Usage(_OneLine):
    """A call that cannot be meant; exit code 2."""

    exit_code = USAGE

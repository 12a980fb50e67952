"""Exit codes: 0 fine, 1 findings or failures, 2 usage (click's own code for it)."""

from __future__ import annotations

from typing import Final

import click

FINDINGS: Final = 1
USAGE: Final = 2


class Failure(click.ClickException):
    """Something that could not be done; one line for the user, exit code 1."""

    exit_code = FINDINGS

    def show(self, file: object = None) -> None:
        """Print the message on standard error."""
        del file
        click.echo(f"llmroute: {self.message}", err=True)


class Usage(click.ClickException):
    """A call that cannot be meant; one line for the user, exit code 2."""

    exit_code = USAGE

    def show(self, file: object = None) -> None:
        """Print the message on standard error."""
        del file
        click.echo(f"llmroute: {self.message}", err=True)

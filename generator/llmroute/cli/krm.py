"""``llmroute krm``: a KRM function, for kustomize and kpt."""

from __future__ import annotations

import click

from llmroute.cli.exits import FINDINGS, Usage
from llmroute.cli.inputs import STDIN, read_all
from llmroute.krm import NoResourceList, carry_out


@click.command("krm")
def command() -> None:
    """Carry out the LLMRoutes of a ResourceList, from standard input to standard output."""
    ((_, text),) = read_all([STDIN])
    try:
        outcome = carry_out(text)
    except NoResourceList as error:
        raise Usage(str(error)) from error
    for line in outcome.said:
        click.echo(line, err=True)
    click.echo(outcome.text, nl=False)
    if outcome.failed:
        raise click.exceptions.Exit(FINDINGS)

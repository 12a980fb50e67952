"""``llmroute check``: every finding about a policy, at once."""

from __future__ import annotations

from collections.abc import Sequence

import click

from llmroute.cli.exits import FINDINGS
from llmroute.cli.inputs import as_json, read_all, show
from llmroute.diagnostic import has_errors
from llmroute.pipeline import compile_policies
from llmroute.targets import EG_VERSIONS, ENVOY_GATEWAY, TARGETS, capabilities


@click.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--target", type=click.Choice(TARGETS), default=ENVOY_GATEWAY, show_default=True)
@click.option("--eg-version", type=click.Choice(EG_VERSIONS), default=EG_VERSIONS[-1], show_default=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(files: Sequence[str], target: str, eg_version: str, form: str) -> None:
    """Say everything that is wrong with a policy. Exits with 1 when there are errors."""
    version = eg_version if target == ENVOY_GATEWAY else None
    compiled = compile_policies(read_all(files), capabilities(target, version))
    if form == "json":
        click.echo(as_json(compiled.diagnostics))
    else:
        show(compiled.diagnostics, err=False)
        if not compiled.diagnostics:
            limits = sum(1 for route in compiled.plan.routes for _ in route.limits())
            click.echo(f"no findings (LLMRoutes: {len(compiled.plan.routes)}, limits: {limits})")
    if has_errors(compiled.diagnostics):
        raise click.exceptions.Exit(FINDINGS)

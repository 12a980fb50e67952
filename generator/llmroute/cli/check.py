"""``llmroute check``: every finding about a policy, at once."""

from __future__ import annotations

from collections.abc import Sequence

import click

from llmroute.check.counters import moved
from llmroute.cli.exits import FINDINGS, Failure
from llmroute.cli.inputs import as_json, read_all, say_bounds, show
from llmroute.diagnostic import has_errors
from llmroute.pipeline import compile_policies
from llmroute.plan import Plan
from llmroute.targets import EG_VERSIONS, ENVOY_GATEWAY, TARGETS, Capabilities, capabilities


@click.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--target", type=click.Choice(TARGETS), default=ENVOY_GATEWAY, show_default=True)
@click.option("--eg-version", type=click.Choice(EG_VERSIONS), default=EG_VERSIONS[-1], show_default=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--against", metavar="OLD", multiple=True, help="What is in force: say which counters an edit would move."
)
def command(files: Sequence[str], target: str, eg_version: str, form: str, against: Sequence[str]) -> None:
    """Say everything that is wrong with a policy. Exits with 1 when there are errors."""
    row = capabilities(target, eg_version if target == ENVOY_GATEWAY else None)
    compiled = compile_policies(read_all(files), row)
    findings = compiled.diagnostics
    if against and not has_errors(findings):
        findings += moved(_plan_of(against, row), compiled.plan, row)
    if form == "json":
        click.echo(as_json(findings))
    else:
        show(findings, err=False)
        if not has_errors(findings):
            say_bounds(compiled.plan, err=False)
        if not findings:
            limits = sum(1 for route in compiled.plan.routes for _ in route.limits())
            click.echo(f"no findings (LLMRoutes: {len(compiled.plan.routes)}, limits: {limits})")
    if has_errors(findings):
        raise click.exceptions.Exit(FINDINGS)


def _plan_of(files: Sequence[str], target: Capabilities) -> Plan:
    compiled = compile_policies(read_all(files), target)
    errors = [d for d in compiled.diagnostics if has_errors([d])]
    if errors:
        raise Failure(f"--against needs a policy without errors: {errors[0]}")
    return compiled.plan

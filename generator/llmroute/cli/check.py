"""``llmroute check``: every finding about a policy, at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from llmroute.cli import excerpts, reports
from llmroute.cli.exits import FINDINGS, Failure
from llmroute.cli.inputs import read_all, say_bounds
from llmroute.diagnostic import Severity, has_errors
from llmroute.pipeline import Compiled, compile_policies, judge_policies
from llmroute.plan import Plan
from llmroute.targets import EG_VERSIONS, ENGINES, ENVOY_GATEWAY, LUA, TARGETS, Capabilities, capabilities

_WORST_FIRST: Final = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
_FORMATS: Final = ("text", "json", "sarif", "github")


@click.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--target", type=click.Choice(TARGETS), default=ENVOY_GATEWAY, show_default=True)
@click.option("--eg-version", type=click.Choice(EG_VERSIONS), default=EG_VERSIONS[-1], show_default=True)
@click.option("--engine", type=click.Choice(ENGINES), default=LUA, show_default=True, help="What the filter runs on.")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True)
@click.option(
    "--against", metavar="OLD", multiple=True, help="What is in force: say which counters an edit would move."
)
@click.option(
    "--fail-on",
    type=click.Choice([severity.value for severity in _WORST_FIRST]),
    default=Severity.ERROR.value,
    show_default=True,
    help="Exit with 1 for findings as bad as this, or worse.",
)
def command(  # noqa: PLR0913, PLR0917 one parameter per option
    files: Sequence[str], target: str, eg_version: str, engine: str, form: str, against: Sequence[str], fail_on: str
) -> None:
    """Say everything that is wrong with a policy, and what is likely not meant. Exits with 1 when there are errors."""
    row = capabilities(target, eg_version if target == ENVOY_GATEWAY else None, engine)
    texts = read_all(files)
    judged = judge_policies(texts, row, against=_plan_of(against, row) if against else None)
    _say(judged, form, dict(texts))
    failing = _WORST_FIRST[: _WORST_FIRST.index(Severity(fail_on)) + 1]
    if any(finding.severity in failing for finding in judged.diagnostics):
        raise click.exceptions.Exit(FINDINGS)


def _say(judged: Compiled, form: str, texts: dict[str, str]) -> None:
    findings = judged.diagnostics
    if form == "json":
        click.echo(reports.as_json(findings))
    elif form == "sarif":
        click.echo(reports.as_sarif(findings, judged.allowed))
    elif form == "github":
        click.echo(reports.as_annotations(findings), nl=bool(findings))
    else:
        excerpts.show_excerpts(findings, texts)
        if not has_errors(findings):
            say_bounds(judged.plan, err=False)
        click.echo(_summary(judged))


def _summary(judged: Compiled) -> str:
    counts = [(sum(d.severity is severity for d in judged.diagnostics), severity) for severity in _WORST_FIRST]
    found = ", ".join(f"{count} {severity}{'s' * (count != 1)}" for count, severity in counts if count)
    limits = sum(1 for route in judged.plan.routes for _ in route.limits())
    allowed = f", allowed by comments: {len(judged.allowed)}" if judged.allowed else ""
    return f"{found or 'no findings'} (LLMRoutes: {len(judged.plan.routes)}, limits: {limits}{allowed})"


def _plan_of(files: Sequence[str], target: Capabilities) -> Plan:
    compiled = compile_policies(read_all(files), target)
    errors = [d for d in compiled.diagnostics if has_errors([d])]
    if errors:
        raise Failure(f"--against needs a policy without errors: {errors[0]}")
    return compiled.plan

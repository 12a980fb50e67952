"""``llmroute diff``: what an edit does to limits, and to the counters that are live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import click

from llmroute import codes
from llmroute.check.difference import Change, LimitChange, Placed, RouteChange, difference
from llmroute.cli.plans import plan_of
from llmroute.cli.said import of_limit
from llmroute.diagnostic import Diagnostic
from llmroute.targets import ENVOY_GATEWAY, TARGETS, capabilities

_WIDTH: Final = max(len(change) for change in Change)
_FATES: Final = {codes.COUNTER_HANDED_OVER: "changes hands", codes.COUNTER_LOST: "restarts"}


@click.command("diff")
@click.argument("old")
@click.argument("new")
@click.option("--target", type=click.Choice(TARGETS), default=ENVOY_GATEWAY, show_default=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(old: str, new: str, target: str, form: str) -> None:
    """Say what changes when the policy NEW takes the place of OLD: limits, terms, and live counters."""
    row = capabilities(target)
    changes = difference(plan_of([old], row), plan_of([new], row), row)
    if form == "json":
        click.echo(json.dumps([_record(change) for change in changes], indent=2))
    elif not changes:
        click.echo("no difference in limits, terms or counters")
    else:
        click.echo("\n\n".join("\n".join(_lines(change, target)) for change in changes))


def _lines(change: RouteChange, target: str) -> Iterator[str]:
    yield f"LLMRoute {'/'.join(change.name)}" + (f": {change.change}" if change.change else "")
    for each in change.limits:
        yield f"  {each.change.ljust(_WIDTH)}  {_limit(each)}"
    for term in change.terms:
        yield f"  {Change.CHANGED.ljust(_WIDTH)}  {term.field}: {term.old or 'nothing'} -> {term.new or 'nothing'}"
    if change.counters:
        yield f"  live counters on {target}:"
    for finding in change.counters:
        yield f"    {_FATES[finding.code]}: {finding.message} ({finding.origin})"


def _limit(each: LimitChange) -> str:
    old, new = (f"{_said(placed)} ({placed.limit.origin})" if placed else "" for placed in (each.old, each.new))
    return (f"{old} -> {new}" if old and new else old or new) + "; counts from zero" * each.restarts


def _said(placed: Placed) -> str:
    return of_limit(placed.route, placed.backend, placed.limit)


def _record(change: RouteChange) -> dict[str, Any]:
    return {
        "namespace": change.name[0],
        "route": change.name[1],
        "change": change.change,
        "limits": [_record_of(each) for each in change.limits],
        "terms": [{"field": term.field, "old": term.old, "new": term.new} for term in change.terms],
        "counters": [_counter(finding) for finding in change.counters],
    }


def _record_of(each: LimitChange) -> dict[str, Any]:
    sides = {"old": each.old, "new": each.new}
    said = {
        name: placed and {"says": _said(placed), "line": placed.limit.origin.line} for name, placed in sides.items()
    }
    return {"change": each.change, **said, "restarts": each.restarts}


def _counter(finding: Diagnostic) -> dict[str, Any]:
    place = {"file": finding.origin.file, "line": finding.origin.line}
    return {"code": finding.code.id, "fate": _FATES[finding.code], "says": finding.message, **place}

"""Rules beyond validity: a policy that works, and likely not as its author means. For a plan without errors."""

from __future__ import annotations

from llmroute.check.lint import answers, models, patterns, redundant, subjects, unmatched
from llmroute.diagnostic import Diagnostic
from llmroute.plan import Plan


def lint(plan: Plan) -> tuple[Diagnostic, ...]:
    """All findings of all routes; they are the same on every target."""
    rules = (redundant, answers, subjects, unmatched, patterns, models)
    return tuple(finding for route in plan.routes for rule in rules for finding in rule.check(route))

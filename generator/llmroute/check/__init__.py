"""Judges a plan for a target: every finding at once. One module per subject, listed in ``check``."""

from __future__ import annotations

from collections.abc import Sequence

from llmroute.check import admission, backends, engine, headers, identity, limits, models, routes, settle
from llmroute.check.places import Places
from llmroute.diagnostic import Diagnostic
from llmroute.plan import Plan
from llmroute.source import Document
from llmroute.targets import Capabilities


def check(plan: Plan, target: Capabilities, documents: Sequence[Document]) -> tuple[Diagnostic, ...]:
    """All findings about ``plan`` on ``target``, in the order of the input.

    ``documents`` are the whole input: what passes through must not collide with what is made.
    """
    places = Places(documents)
    found = [
        *engine.check(plan, target),
        *routes.check(plan, documents, target),
        *backends.check(plan, target, places),
        *headers.check(plan, target),
        *limits.check(plan, target, places),
        *models.check(plan),
        *identity.check(plan, target, documents, places),
        *admission.check(plan, target, places),
        *settle.check(plan, target, places),
    ]
    return tuple(sorted(found, key=lambda d: (d.origin.file, d.origin.line, d.origin.column, d.code.id)))

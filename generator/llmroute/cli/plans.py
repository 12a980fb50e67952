"""The plan of a policy, for commands that ask it something."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import click

from llmroute.cli.exits import FINDINGS
from llmroute.cli.inputs import read_all, show
from llmroute.diagnostic import has_errors
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint, Plan
from llmroute.settlement import carried_out
from llmroute.targets import Capabilities

_ANYWHERE = Endpoint("127.0.0.1", 9)
"""Where backends are does not matter here, so no policy has to say it."""


def plan_of(files: Sequence[str], target: Capabilities) -> Plan:
    """The plan as ``target`` carries it out. Errors are shown and end the command with 1; the rest is for ``check``."""
    # On a plain Envoy it is the service that takes refunds or not, and nobody says here which one it is.
    target = dataclasses.replace(target, refunds=not target.counts_by_place)
    compiled = compile_policies(read_all(files), target, stand_ins={None: _ANYWHERE})
    if has_errors(compiled.diagnostics):
        show((d for d in compiled.diagnostics if has_errors([d])), err=True)
        raise click.exceptions.Exit(FINDINGS)
    return carried_out(compiled.plan, target)

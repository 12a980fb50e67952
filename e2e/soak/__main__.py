"""``python -m e2e.soak``: ten minutes on Envoy Gateway, in the end every counter is the upstream's ledger, to the token."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path
from typing import Final

from e2e.soak.driver import soak
from e2e.soak.page import page, summary
from e2e.soak.plan import Plan
from e2e.stacks.protocol import Unavailable
from e2e.stacks.standalone import StandaloneStack

_PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
_A_MINUTE: Final = 20_000
"""Tokens of each user for every minute: the ones that ask most use them up."""


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> int:
    """Exit code: 0 all is as promised, 1 it is not, 2 it cannot run here."""
    parser = argparse.ArgumentParser(prog="python -m e2e.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--clients", type=int, default=16, help="at one time")
    parser.add_argument("--restarts", type=int, default=12, help="how often a part is killed, in turn")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="repeats the traffic of each client")
    parser.add_argument("--page", action="store_true", help=f"write docs/{_PAGE.name}")
    options = parser.parse_args()
    plan = Plan(
        options.users,
        options.clients,
        options.minutes * 60,
        options.restarts,
        max(1, round(options.minutes * _A_MINUTE)),
        options.seed,
    )
    _say(f"{options.minutes:g} minutes, seed {plan.seed}")
    try:
        stack = StandaloneStack(durable=True)
    except Unavailable as missing:
        _say(str(missing))
        return 2
    with stack:
        soaked = soak(stack, plan, stack.kills(), _say)
    sys.stdout.write("\n".join(summary(soaked)) + "\n")
    for fault in soaked.faults():
        _say(fault)
    if options.page and soaked.ok:
        _PAGE.write_text(page(soaked), encoding="utf-8")
    return 0 if soaked.ok else 1


if __name__ == "__main__":
    sys.exit(main())

"""``llmroute reset``: one counter back to zero."""

from __future__ import annotations

import re
from typing import Final

import click

from llmroute.cli.exits import Failure, Usage
from llmroute.cli.stores import RedisStore

_COUNTER: Final = re.compile(r".+_.+_\d+", re.DOTALL)
"""Domain, entries, and the second in which the window began."""


@click.command("reset")
@click.argument("key")
@click.option("--redis", required=True, metavar="HOST:PORT", help="The Redis of the rate limit service, or its URL.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(key: str, redis: str, yes: bool) -> None:  # noqa: FBT001 click's call
    """Set the counter KEY back to zero; ``explain`` and ``status --format json`` say what it is called."""
    if not _COUNTER.fullmatch(key):
        raise Usage(f"{key} is no counter: they end in the second in which their window began")
    store = RedisStore(redis)
    used = store.value(key)
    if used is None:
        raise Failure(f"there is no counter {key}: nothing was counted, or its window is over")
    if not yes and not click.confirm(f"{key} has {used}. Back to zero?", err=True):
        raise Failure("nothing was changed")
    click.echo(f"{key} had {store.forget(key)} and counts from zero")

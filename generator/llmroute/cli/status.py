"""``llmroute status``: the counters of a policy as they stand, by user, model and whatever else counts apart."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from llmroute import names
from llmroute.cli.exits import Usage
from llmroute.cli.plans import plan_of
from llmroute.cli.said import of_header, of_limit, record_of
from llmroute.cli.stores import WHERE, Store, store_of
from llmroute.explain import Live, live
from llmroute.explain.counters import domain_of
from llmroute.plan import Match, Plan, Route
from llmroute.targets import ENVOY, ENVOY_GATEWAY, TARGETS, Capabilities, capabilities

_COLUMNS: Final = ("who", "used", "of", "left", "ends in", "state")

Found = Sequence[tuple[Route, Live]]


@click.command("status")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--redis", metavar="HOST:PORT", help="The Redis of the rate limit service, or its redis:// URL.")
@click.option("--service", metavar="URL", help="The embedded service: what llmroute run --status prints.")
@click.option("--user", help="Only what is counted for this user.")
@click.option("--model", help="Only what is counted for this model.")
@click.option("--target", type=click.Choice(TARGETS), default=ENVOY_GATEWAY, show_default=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--watch", is_flag=True, help="Again and again, until it is stopped.")
@click.option("--interval", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Seconds of --watch.")
def command(  # noqa: PLR0913, PLR0917 one parameter per option
    files: Sequence[str],
    redis: str | None,
    service: str | None,
    user: str | None,
    model: str | None,
    target: str,
    form: str,
    watch: bool,  # noqa: FBT001 click's call
    interval: float,
) -> None:
    """Show the counters of a policy as they stand. Counters that nobody has moved are not there."""
    store = store_of(redis, service)
    if store is None:
        raise Usage(WHERE)
    row = capabilities(target if service is None else ENVOY)  # ``run`` serves on a plain Envoy
    plan = plan_of(files, row)
    pause = threading.Event()
    try:
        while True:
            found = _read(plan, row, store, user, model)
            if watch and form == "text":
                click.clear()  # nothing where the output is no terminal
            click.echo(_as_json(found, watched=watch) if form == "json" else _as_text(plan, found))
            if not watch or pause.wait(interval):
                return
    except KeyboardInterrupt:
        if not watch:
            raise


def _read(plan: Plan, target: Capabilities, store: Store, user: str | None, model: str | None) -> Found:
    found: list[tuple[Route, Live]] = []
    for route in plan.routes:
        domain = domain_of(route, target)
        if domain is None:
            continue
        reading = store.read(domain)
        wanted = {route.identity.header: user, names.MODEL_HEADER: model}
        found += [(route, one) for one in live(route, target, reading.counters, reading.now) if _asked_for(one, wanted)]
    return found


def _asked_for(one: Live, wanted: Mapping[str, str | None]) -> bool:
    """Whether it counts these alone; what counts everybody together counts nobody apart."""
    fixed = {s.header: s.value for s in one.counter.limit.selectors if s.match is Match.EXACT}
    said = {**fixed, **one.values}
    return all(value is None or said.get(header) == value for header, value in wanted.items())


def _as_text(plan: Plan, found: Found) -> str:
    lines: list[str] = []
    for route in plan.routes:
        lines.append(f"LLMRoute {route.namespace or 'default'}/{route.name}")
        here = [one for of, one in found if of is route]
        for place in dict.fromkeys(one.counter.place for one in here):
            rows = [one for one in here if one.counter.place == place]
            counter = rows[0].counter
            lines += ["", f"  {place}. {of_limit(route, counter.backend, counter.limit)}"]
            lines += [f"     {line}" for line in _table([_COLUMNS, *(_row(route, one) for one in rows)])]
        if not here:
            lines.append("  no counter of a running window")
    return "\n".join(lines)


def _row(route: Route, one: Live) -> tuple[str, ...]:
    who = ", ".join(f"{of_header(route, header)} {value}" for header, value in one.values.items()) or "all"
    quantity = one.counter.limit.quantity
    return who, str(one.used), str(quantity), str(one.left), f"{one.reset} s", one.state


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    # Numbers to the right, words to the left.
    return [
        "  ".join(
            cell.rjust(width) if 0 < column < len(row) - 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _as_json(found: Found, *, watched: bool) -> str:
    """An array of records; with ``--watch`` each on a line of its own."""
    return json.dumps([_record(route, one) for route, one in found], indent=None if watched else 2)


def _record(route: Route, one: Live) -> dict[str, Any]:
    return {
        "route": route.name,
        "namespace": route.namespace or "default",
        **record_of(route, one.counter),
        "values": {of_header(route, header): value for header, value in one.values.items()},
        "key": one.key,
        "used": one.used,
        "left": one.left,
        "reset": one.reset,
        "state": one.state,
    }

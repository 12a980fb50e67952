"""``llmroute demo``: a policy, a gateway, a fake model, traffic, and a refused request, live in a table."""

from __future__ import annotations

import json
import time
from importlib import resources

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from llmroute.cli.demo_traffic import QUANTITY, Exchange, drive
from llmroute.cli.exits import Failure
from llmroute.cli.serving import serving
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.local import services
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint
from llmroute.targets import ENVOY, capabilities

_COLUMNS = ("request", "user", "model", "tokens", f"used of {QUANTITY}", "status")
_POLICY = "demo.yaml"


def policy_text() -> str:
    """The demo's policy, as the package ships it."""
    return resources.files("llmroute.data").joinpath(_POLICY).read_text(encoding="utf-8")


@click.command("demo")
@click.option("--json", "as_json", is_flag=True, help="Print what happened as JSON.")
def command(as_json: bool) -> None:  # noqa: FBT001 click's call
    """Show a refused request. Exits with 1 if none was refused."""
    started: list[EmbeddedRateLimit] = []
    now = time.time()
    # The clock stands still: no window can turn in the middle of the demo.
    service = services.embedded(lambda: now, started.append)
    exchanges: list[Exchange] = []
    console = Console(stderr=as_json)
    with ScriptedUpstream() as upstream:
        stand_in: dict[str | None, Endpoint] = {None: Endpoint("127.0.0.1", upstream.port)}
        plan = compile_policies([(_POLICY, policy_text())], capabilities(ENVOY), stand_ins=stand_in).plan
        with serving(plan, service) as gateway, Live(_table(exchanges), console=console) as live:
            for exchange in drive(gateway.url, started[0]):
                exchanges.append(exchange)
                live.update(_table(exchanges))
    refused = [e for e in exchanges if e.refused]
    if as_json:
        click.echo(json.dumps({"requests": [e.record() for e in exchanges], "refused": len(refused)}, indent=2))
    console.print()
    for exchange in refused:
        console.print(f"[bold]{exchange.user}[/] was refused on {exchange.model}: {exchange.message}", highlight=False)
    if not refused:
        raise Failure("no request was refused; the limit did not hold")


def _table(exchanges: list[Exchange]) -> Table:
    table = Table(title=f"each user may spend {QUANTITY} tokens an hour on demo-model")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in {"user", "model", "status"} else "right")
    for n, e in enumerate(exchanges, 1):
        used = "-" if e.used is None else str(e.used)
        status = "[bold red]429 refused[/]" if e.refused else f"[green]{e.status}[/]"
        table.add_row(str(n), e.user, e.model, str(e.tokens), used, status)
    return table

"""``llmroute run``: a policy served on a local Envoy, until it is told to stop."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

import click

from llmroute.cli.exits import FINDINGS, Failure, Usage
from llmroute.cli.inputs import read_all, say_bounds, show
from llmroute.cli.serving import serving
from llmroute.cli.stop import Stop
from llmroute.diagnostic import has_errors
from llmroute.local import services
from llmroute.local.counters_endpoint import counters_endpoint
from llmroute.local.gateway import RateLimitService
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint, Mode, Plan
from llmroute.targets import ENGINES, ENVOY, LUA, capabilities

_EMBEDDED = "embedded"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@click.command("run")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--listen", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="Port 0: a free one.")
@click.option(
    "--upstream", "upstreams", multiple=True, metavar="[BACKEND=]URL", help="Stands in for a backend, or all."
)
@click.option(
    "--ratelimit",
    default=_EMBEDDED,
    show_default=True,
    metavar="embedded|process|HOST:PORT",
    help="The rate limit service: our own; envoyproxy/ratelimit; or one that runs already.",
)
@click.option("--ratelimit-binary", metavar="PATH", help="envoyproxy/ratelimit for --ratelimit process.")
@click.option("--engine", type=click.Choice(ENGINES), default=LUA, show_default=True, help="What the filter runs on.")
@click.option("--fail-open", is_flag=True, help="Let requests pass, unmetered, while the rate limit service is away.")
@click.option("--access-log", metavar="FILE", help="Gets a line of JSON for each request.")
@click.option("--redis", metavar="HOST:PORT", help="Redis for --ratelimit process; a Valkey is started without it.")
@click.option("--status", metavar="HOST:PORT", help="Show the embedded service's counters there, to llmroute status.")
def command(  # noqa: PLR0913, PLR0917 one parameter per option
    files: Sequence[str],
    listen: str,
    upstreams: Sequence[str],
    ratelimit: str,
    ratelimit_binary: str | None,
    redis: str | None,
    status: str | None,
    engine: str,
    fail_open: bool,  # noqa: FBT001 click's call
    access_log: str | None,
) -> None:
    """Serve a policy on a local Envoy. Prints "ready: URL" when it takes traffic."""
    shown_at = _address("--status", status) if status else None
    if shown_at and ratelimit != _EMBEDDED:
        raise Usage("--status shows the embedded service; of another one say llmroute status --redis HOST:PORT")
    stand_ins = dict(_stand_in(u) for u in upstreams)
    target = dataclasses.replace(capabilities(ENVOY, engine=engine), refunds=ratelimit == _EMBEDDED)
    compiled = compile_policies(read_all(files), target, stand_ins=stand_ins)
    show(compiled.diagnostics, err=True)
    if has_errors(compiled.diagnostics):
        raise click.exceptions.Exit(FINDINGS)
    _all_known(stand_ins, compiled.plan)
    stop = Stop()
    started: list[EmbeddedRateLimit] = []
    service = _service(ratelimit, ratelimit_binary, redis, started.append)
    log = Path(access_log) if access_log else None
    address = _address("--listen", listen)
    with (
        serving(compiled.plan, service, address, fail_closed=not fail_open, access_log=log, engine=engine) as gateway,
        counters_endpoint(started[0].counters, time.time, shown_at) if shown_at else nullcontext() as shown,
    ):
        if not stop.is_set():
            click.echo(f"ready: {gateway.url}")
            say_bounds(_reserving(compiled.plan), err=True)
            if shown:
                click.echo(f"status: {shown}")
        while not stop.wait(0.5):
            if gateway.envoy.exit_code is not None:
                raise Failure(f"envoy ended with exit code {gateway.envoy.exit_code}:\n{gateway.envoy.log_tail()}")


def _reserving(plan: Plan) -> Plan:
    """The routes that only this command serves: ``check`` has no target to say their bounds for."""
    return Plan(tuple(route for route in plan.routes if route.admission.mode is Mode.RESERVE))


def _service(
    ratelimit: str, binary: str | None, redis: str | None, started: Callable[[EmbeddedRateLimit], None]
) -> RateLimitService:
    if ratelimit == _EMBEDDED:
        return services.embedded(started=started)
    if ratelimit == "process":
        address = _address("--redis", redis.removeprefix("redis://").rstrip("/")) if redis else None
        return services.process(str(address) if address else None, binary)
    return services.running(_address("--ratelimit", ratelimit))


def _stand_in(text: str) -> tuple[str | None, Endpoint]:
    name, equals, url = text.partition("=")
    if not equals or ":" in name:
        name, url = "", text
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise Usage(f"--upstream {text}: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        raise Usage(f"--upstream {text}: give [BACKEND=]http://HOST:PORT, without a path")
    host = parts.hostname
    return name or None, Endpoint(host, port or _DEFAULT_PORTS[parts.scheme], tls=parts.scheme == "https")


def _all_known(stand_ins: dict[str | None, Endpoint], plan: Plan) -> None:
    known = sorted({b.name for route in plan.routes for b in route.backends})
    for name in stand_ins:
        if name is not None and name not in known:
            raise Usage(f"--upstream {name}=…: no such backend; there are: {', '.join(known)}")


def _address(option: str, text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise Usage(f"{option}: {error}") from error

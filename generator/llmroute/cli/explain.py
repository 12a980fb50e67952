"""``llmroute explain``: what the limits of a policy mean for one request."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from llmroute.cli.exits import Usage
from llmroute.cli.plans import plan_of
from llmroute.cli.said import of_header, of_limit, record_of
from llmroute.cli.stores import Store, store_of
from llmroute.explain import Api, Asked, Explained, Live, Sent, TurnedAway, asked, explained
from llmroute.explain.counters import domain_of
from llmroute.plan import Plan, Route
from llmroute.targets import ENVOY, ENVOY_GATEWAY, TARGETS, Capabilities, capabilities


@dataclass(frozen=True, slots=True)
class Found:
    """What is used, by counter, where somebody was asked, and the time (Unix seconds) that all is told for."""

    counters: Mapping[str, int] | None
    now: float

    def of(self, each: Explained) -> Live | None:
        """The counter of a limit that applies; nobody has moved one that is not there."""
        if self.counters is None or each.why_not:
            return None
        return Live(each.counter, {}, each.key, self.counters.get(each.key, 0), each.reset)


@click.command("explain")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--model", help="As the request names it; without it the model cannot be read.")
@click.option("--user", help="Who asks.")
@click.option("--backend", help="The backend that the client names.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="Another header of the request.")
@click.option("--metadata", multiple=True, metavar="PATH=VALUE", help="What another filter finds out: sso.tenant=acme.")
@click.option("--prompt", type=click.IntRange(min=0), metavar="TOKENS", help="Length of the longest prompt.")
@click.option("--api", type=click.Choice([api.value for api in Api]), default=Api.OPENAI.value, show_default=True)
@click.option("--redis", metavar="HOST:PORT", help="Say what is used, too, by the Redis of the rate limit service.")
@click.option("--service", metavar="URL", help="The same by the embedded service: what run --status prints.")
@click.option("--target", type=click.Choice(TARGETS), default=ENVOY_GATEWAY, show_default=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(  # noqa: PLR0913, PLR0917 one parameter per option
    files: Sequence[str],
    model: str | None,
    user: str | None,
    backend: str | None,
    headers: Sequence[str],
    metadata: Sequence[str],
    prompt: int | None,
    api: str,
    redis: str | None,
    service: str | None,
    target: str,
    form: str,
) -> None:
    """Say which limits apply to a request, their counters, what is charged when, and what a refusal looks like.

    With --redis or --service also whether it is refused now, and by which of them.
    """
    store = store_of(redis, service)
    row = capabilities(target if service is None else ENVOY)  # ``run`` serves on a plain Envoy
    plan = plan_of(files, row)
    sent = Sent(
        model=model,
        user=user,
        backend=backend,
        headers={name.lower(): value for name, value in (_pair("--header", h, ":") for h in headers)},
        metadata=dict(_pair("--metadata", m, "=") for m in metadata),
        api=Api(api),
        prompt=prompt,
    )
    _all_known(plan, sent)
    answers = [(route, asked(route, sent), _found(route, row, store)) for route in _candidates(plan, sent)]
    if form == "json":
        click.echo(json.dumps([_record(route, answer, row, found) for route, answer, found in answers], indent=2))
        return
    texts = ("\n".join(_lines(route, answer, row, found)) for route, answer, found in answers)
    click.echo("\n\n".join(texts))


def _found(route: Route, target: Capabilities, store: Store | None) -> Found:
    domain = domain_of(route, target)
    if store is None or domain is None:
        return Found(None, time.time())
    reading = store.read(domain)
    return Found(reading.counters, reading.now)


def _pair(option: str, text: str, mark: str) -> tuple[str, str]:
    name, found, value = text.partition(mark)
    if not found or not name.strip():
        raise Usage(f"{option} {text}: give NAME{mark}VALUE")
    return name.strip(), value.strip()


def _all_known(plan: Plan, sent: Sent) -> None:
    """A header that no limit selects on says nothing, and is no mistake; metadata with a wrong path is one."""
    known = sorted({".".join(h.path) for route in plan.routes for h in route.metadata_headers})
    for path in sent.metadata:
        if path not in known:
            raise Usage(f"--metadata {path}: no rule asks for it; there are: {', '.join(known) or 'none'}")


def _candidates(plan: Plan, sent: Sent) -> list[Route]:
    """A backend that is named belongs to one route; else every route has something to say."""
    named = [route for route in plan.routes if sent.backend in {b.name for b in route.backends}]
    return named or list(plan.routes)


def _head(route: Route) -> str:
    where = f"{route.namespace or 'default'}/{route.name} ({route.origin})"
    return where if route.namespace else f"{where}, taken to be in the namespace default, as it names none"


def _lines(route: Route, answer: Asked | TurnedAway, target: Capabilities, found: Found) -> Iterator[str]:
    yield f"LLMRoute {_head(route)}"
    if isinstance(answer, TurnedAway):
        yield f"  {answer.status}: {answer.why}; no limit is asked"
        return
    said = ", ".join(f"{of_header(route, name)} {value}" for name, value in sorted(answer.headers.items()))
    yield f"  request: {said}"
    yield f"  goes to: {answer.backend.name}"
    limits = explained(route, answer, target, found.now)
    if found.counters is not None:
        yield f"  now:     {_verdict([each for each in map(found.of, limits) if each])}"
    for each in limits:
        yield ""
        yield from _of_limit(route, each, found.of(each))
    if all(each.why_not for each in limits):
        yield "  no limit applies: the request is admitted and not counted"


def _verdict(limits: Sequence[Live]) -> str:
    """Of the limits that apply. An empty Redis, and one whose counters have the names of another target, look alike."""
    full = " and ".join(str(each.counter.place) for each in limits if each.state == "refused")
    if full:
        return f"refused, by limit {full}"
    unmoved = limits and not any(each.used for each in limits)
    return "no limit that applies is used up" + (
        "; nothing is counted under the names of this --target" if unmoved else ""
    )


def _of_limit(route: Route, each: Explained, live: Live | None) -> Iterator[str]:
    counter = each.counter
    yield f"  {counter.place}. {of_limit(route, counter.backend, counter.limit)} ({counter.limit.origin})"
    if each.why_not:
        yield f"     does not apply: {each.why_not}"
        return
    yield f"     counter:   {each.key}"
    if live:
        yield f"     used:      {live.used} of {counter.limit.quantity}, {live.left} left: {live.state}"
    yield f"     window:    ends in {each.reset} s"
    for charge in each.charges:
        yield f"     charged:   {charge.when}: {charge.what}"
    bound = "" if each.at_most is None else f"; with that prompt at most {each.at_most}"
    yield f"     overshoot: {each.bound}{bound}"
    if each.refusal is None:
        yield "     refusal:   never"
        return
    limit = counter.limit
    yield f"     refusal:   {each.refusal.status} {'always' if not limit.quantity else f'from {limit.quantity} on'}"
    for name, value in each.refusal.headers.items():
        yield f"                {name}: {value}"
    yield f"                {each.refusal.body}"


def _record(route: Route, answer: Asked | TurnedAway, target: Capabilities, found: Found) -> dict[str, Any]:
    head: dict[str, Any] = {"route": route.name, "namespace": route.namespace or "default"}
    if isinstance(answer, TurnedAway):
        return {**head, "status": answer.status, "why": answer.why, "limits": []}
    return {
        **head,
        "backend": answer.backend.name,
        "headers": {of_header(route, name): value for name, value in sorted(answer.headers.items())},
        "limits": [_record_of(route, each, found.of(each)) for each in explained(route, answer, target, found.now)],
    }


def _record_of(route: Route, each: Explained, live: Live | None) -> dict[str, Any]:
    record = record_of(route, each.counter)
    if each.why_not:
        return {**record, "applies": False, "why": each.why_not}
    refusal = each.refusal and {
        "status": each.refusal.status,
        "headers": dict(each.refusal.headers),
        "body": each.refusal.body,
    }
    return {
        **record,
        "applies": True,
        "key": each.key,
        "reset": each.reset,
        **({"used": live.used, "left": live.left, "state": live.state} if live else {}),
        "charges": [{"when": charge.when, "what": charge.what} for charge in each.charges],
        "refusal": refusal,
        "overshoot": {"says": each.bound, "tokens": each.at_most},
    }

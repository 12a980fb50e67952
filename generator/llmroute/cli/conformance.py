"""``llmroute conformance``: the suite at a gateway, and a report of what it saw."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from llmroute.cli.exits import FINDINGS, Failure, Usage
from llmroute.conformance.adapters import find
from llmroute.conformance.adapters.by_hand import POLICY, ByHand
from llmroute.conformance.adapters.protocol import Adapter, Unavailable
from llmroute.conformance.applies import lacking, needs_of
from llmroute.conformance.case import Case, Profile
from llmroute.conformance.cases import chosen
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.plan_page import plan
from llmroute.conformance.reading import read_at
from llmroute.conformance.report import BY_SUFFIX, FORMATS
from llmroute.conformance.report.document import made
from llmroute.conformance.runner import Outcome, Result, run
from llmroute.local.errors import LocalError
from llmroute.plan import Endpoint
from llmroute.targets import ENGINES, LUA

_ADMISSIONS: Final = {"below": Admission.BELOW, "up-to": Admission.UP_TO}
_OF_THE_ADAPTER: Final = frozenset(
    {Feature.COUNTERS, Feature.RESET, Feature.CLOCK, Feature.OUTAGE, Feature.FAIL_OPEN, Feature.SDKS}
)
_LOG_LINES: Final = 30


@click.command("conformance")
@click.option(
    "--stack", metavar="NAME", help="local (default), a stack of the repository, or MODULE:NAME of an adapter."
)
@click.option(
    "--engine", type=click.Choice(ENGINES), default=LUA, show_default=True, help="Of --stack local: the filter's."
)
@click.option(
    "--gateway", metavar="URL", help="A gateway configured by hand as --plan says; {policy} becomes a policy's id."
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    type=click.Choice([each.value for each in Profile]),
    help="Only cases of this profile.",
)
@click.option("--case", "ids", multiple=True, metavar="ID", help="Only this case.")
@click.option("--report", "files", multiple=True, metavar="FILE", help="Write the report: .yaml, .html, .xml or .txt.")
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), help="Of files with another name, and of standard output."
)
@click.option("--plan", "planned", is_flag=True, help="Print the policies for --gateway, and end.")
@click.option("--list", "listed", is_flag=True, help="Print the cases and what they need, and end.")
@click.option(
    "--upstream-listen",
    default="127.0.0.1:8080",
    show_default=True,
    metavar="HOST:PORT",
    help="Of the fake model, with --gateway.",
)
@click.option(
    "--admission",
    type=click.Choice(list(_ADMISSIONS)),
    default="below",
    show_default=True,
    help="Of --gateway: used < limit, or used <= limit.",
)
@click.option(
    "--without",
    "without",
    multiple=True,
    type=click.Choice([each.value for each in Feature]),
    metavar="FEATURE",
    help="Skip what needs this feature.",
)
@click.option(
    "--settles",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="Of --gateway: after which a charge has landed.",
)
def command(  # noqa: PLR0913, PLR0917 one parameter per option
    stack: str | None,
    engine: str,
    gateway: str | None,
    profiles: Sequence[str],
    ids: Sequence[str],
    files: Sequence[str],
    form: str | None,
    planned: bool,  # noqa: FBT001 click's call
    listed: bool,  # noqa: FBT001
    upstream_listen: str,
    admission: str,
    without: Sequence[str],
    settles: float,
) -> None:
    """Say whether a gateway's token limits are true. Exits with 1 when a case fails or the run is interrupted."""
    cases = _cases([Profile(each) for each in profiles], ids)
    lacks = frozenset(Feature(each) for each in without)
    listen = _endpoint(upstream_listen)
    if listed:
        click.echo("\n".join(f"{case.profile}/{case.id}: {case.title}{_needs(case)}" for case in cases))
        return
    if planned:
        click.echo(plan(cases, listen, _ADMISSIONS[admission]), nl=False)
        return
    targets = [(Path(file), _format(file, form)) for file in files]
    try:
        adapter = _adapter(stack, engine, gateway, listen, _ADMISSIONS[admission], settles, lacks)
        if isinstance(adapter, ByHand):
            _one_policy_or_a_place(adapter, cases)
        _conform(cases, adapter, lacks, targets, form)
    except (Unavailable, LocalError) as missing:
        raise Failure(str(missing)) from missing


def _conform(
    cases: Sequence[Case],
    adapter: Adapter,
    without: frozenset[Feature],
    targets: Sequence[tuple[Path, str]],
    form: str | None,
) -> None:
    """Run, say how it goes, report."""
    logging.getLogger("aiohttp.server").addHandler(logging.NullHandler())  # clients that leave are what it is for
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    begun, start = dt.datetime.now(dt.UTC), time.monotonic()
    results: list[Result] = []
    try:
        with adapter, contextlib.closing(run(cases, adapter, without=without)) as running:
            for result in running:
                results.append(result)
                _progress(result, len(results), len(cases))
    except KeyboardInterrupt:
        click.echo(f"interrupted after {len(results)} of {len(cases)} cases; the report has those", err=True)
    report = made(results, cases, adapter, begun, time.monotonic() - start)
    for path, name in targets:
        try:
            path.write_text(FORMATS[name](report), encoding="utf-8")
        except OSError as error:
            raise Failure(f"cannot write {path}: {error.strerror}") from error
    if not targets or form is None:
        click.echo(FORMATS[form or "text"](report), nl=False)
    if report.of(Outcome.FAILED) or not report.complete:
        raise click.exceptions.Exit(FINDINGS)


def _progress(result: Result, done: int, of: int) -> None:
    """A line for each case on standard error; a failed one with what its gateway had to say."""
    if result.outcome is not Outcome.SKIPPED:
        click.echo(f"[{done:{len(str(of))}}/{of}] {result.outcome}: {result.case.profile}/{result.case.id}", err=True)
    if result.logs:
        click.echo("\n".join(result.logs.splitlines()[-_LOG_LINES:]), err=True)


def _cases(profiles: Sequence[Profile], ids: Sequence[str]) -> Sequence[Case]:
    known = {case.id for case in chosen()}
    for each in ids:
        if each not in known:
            raise Usage(f"--case {each}: there is no such case; --list has them all")
    cases = chosen(profiles, ids)
    if not cases:
        raise Usage("no case is of these profiles and has one of these ids")
    return cases


def _needs(case: Case) -> str:
    needs = sorted(needs_of(case))
    return f" (needs {', '.join(needs)})" if needs else ""


def _format(file: str, form: str | None) -> str:
    found = BY_SUFFIX.get(Path(file).suffix) or form
    if found is None:
        raise Usage(f"--report {file}: say its --format, or a name that ends in {', '.join(BY_SUFFIX)}")
    if not Path(file).absolute().parent.is_dir():
        raise Usage(f"--report {file}: there is no such folder")
    return found


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise Usage(f"--upstream-listen: {error}") from error


def _adapter(  # noqa: PLR0913, PLR0917 one parameter per option
    stack: str | None,
    engine: str,
    gateway: str | None,
    listen: Endpoint,
    admission: Admission,
    settles: float,
    without: frozenset[Feature],
) -> Adapter:
    name = stack or find.LOCAL
    if engine != LUA and (gateway is not None or name != find.LOCAL):
        raise Usage(f"--engine {engine} is for --stack {find.LOCAL}")
    if gateway is None:
        if ":" not in name and name not in find.NAMES:
            raise Usage(f"--stack {name}: there are {', '.join(find.NAMES)}, and MODULE:NAME")
        return find.adapter(name, Path.cwd(), engine)
    if stack is not None:
        raise Usage("--stack and --gateway: one of them")
    url = urlsplit(gateway)
    if url.scheme != "http" or not url.netloc or url.query:
        raise Usage(f"--gateway {gateway}: give http://HOST:PORT, with a path at the most")
    return ByHand(gateway.rstrip("/"), listen, frozenset(Feature) - _OF_THE_ADAPTER - without, admission, settles)


def _one_policy_or_a_place(adapter: ByHand, cases: Iterable[Case]) -> None:
    """One gateway without a place for the policy in its URL has one policy."""
    applying = [case for case in cases if not lacking(case, adapter.admission, adapter.features)]
    policies = {read_at(case, adapter).policy for case in applying}
    if len(policies) > 1 and POLICY not in adapter.url:
        remedy = f"say {POLICY} where the URL has a policy's id, or choose a --case"
        raise Usage(f"--gateway {adapter.url}: these cases need {len(policies)} policies; {remedy}")

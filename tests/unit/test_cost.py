"""What the figures of the page are made of: spreads, pairs within a repetition, goals, and the page itself."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from e2e.cost import figures, page
from e2e.cost.compiler import policy as many
from e2e.cost.gateways import LITELLM, LUA, NATIVE, PLAIN, ROWS, WASM, policy
from e2e.cost.goals import GOALS, Goal, judged
from e2e.cost.load import DriveError, Driven
from e2e.cost.loads import JSON, KIB, Load, all_loads, few_loads
from e2e.cost.native import native, plain, ratelimit_alone
from e2e.cost.plots import PLOTS
from e2e.cost.raw import Compilation, Memory, Raw, Sample
from llmroute.conformance.adapters.plain import plain_plan
from llmroute.emit.envoy_static import EnvoyOptions, envoy_static
from llmroute.local.envoy import validate
from tools.proc import busy_seconds, cpu_seconds, own_seconds, resident_mib, status_kib
from tools.spread import spread

NAMES = [row.name for row in ROWS]
PLAN = plain_plan(policy(), 1)
BOOTSTRAP = envoy_static(PLAN, EnvoyOptions()).text


def sample(gateway: str, load: str, repetition: int, factor: float = 1.0) -> Sample:
    """One whose figures are easy to tell: 1 more for each gateway of the table, ``factor`` times as much."""
    number = NAMES.index(gateway) + 1.0
    times = {quantile: factor * number * n for n, quantile in enumerate(("p50", "p90", "p99"), 1)}
    parts = {"proxy": factor * number, "ratelimit": 0.5, "Redis": 0.25} if number > 1 else {}
    return Sample(gateway, load, 100, 1000 / number + repetition, times, times, parts, 2, 4, 1.5)


def raw(repetitions: int = 3) -> Raw:
    """A whole run."""
    loads = [load.name for load in few_loads()]
    return Raw(
        "On a machine.",
        0.25,
        [sample(name, load, n, 1 + n / 10) for load in loads for name in NAMES for n in range(repetitions)],
        [Memory(name, 500, 50, 60.0 + 2 * NAMES.index(name) + n) for n in range(repetitions) for name in NAMES[1:]],
        [Compilation(size, size / 1000 + 0.3, size / 2000 + 0.2, 40 + size / 10) for size in (1, 100, 1000)],
    )


def test_a_spread() -> None:
    """Of an even number the median lies between two."""
    assert spread([4, 1, 2, 9]) == (3, 1, 9)
    assert spread([7]) == (7, 7, 7)


def test_what_is_added_is_told_within_a_repetition() -> None:
    """A machine that gets slower takes both along: the difference of medians would be another."""
    samples = [sample("native", "l", 0, factor) for factor in (1, 10, 2)]
    samples += [sample("lua", "l", 0, factor) for factor in (1.5, 10, 2)]
    run = replace(raw(), samples=samples)
    assert figures.added(run, "lua", "native", "l", figures.latency("p50")) == spread([6 * 1.5 - 4, 20.0, 4.0])
    assert figures.ratio(run, "lua", "native", "l", figures.cpu("proxy")) == spread([6 * 1.5 / 4, 1.5, 1.5])
    assert figures.alone(run, "native", "l", figures.cpu()) == spread([4.75, 40.75, 8.75])
    assert figures.alone(run, "native", "l", figures.first("p99")) == spread([12, 120, 24])


def test_a_repetition_without_its_other_half_is_no_pair() -> None:
    """Nothing is compared with what was measured at another time."""
    run = raw()
    run = replace(run, samples=[each for each in run.samples if each.gateway != "native"][:-1])
    with pytest.raises(ValueError, match="shorter"):
        figures.added(run, "lua", "native", JSON.name, figures.latency("p50"))


def test_memory_is_compared_by_repetition() -> None:
    """As it was held, and beyond another's."""
    assert figures.held(raw(), "native") == (67, 66, 68)
    assert figures.held(raw(), "lua", PLAIN.name) == (8, 8, 8)
    assert figures.at_rest(raw(), "lua") == (50, 50, 50)


def test_a_linear_compiler_takes_the_same_for_each_route() -> None:
    """And one that is not does not."""
    assert figures.each_more(raw().compilations) == pytest.approx({100: 0.5, 1000: 0.5})
    squares = [Compilation(size, 0, size * size / 1000, 0) for size in (1, 100, 1000)]
    assert figures.each_more(squares) == pytest.approx({100: 101, 1000: 1001})


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.what)
def test_a_goal_is_met_or_missed(goal: Goal, monkeypatch: pytest.MonkeyPatch) -> None:
    """By every run, by the median alone, or not; the page says which."""
    run = raw()
    median, _, most = goal.figure(run)
    verdicts = []
    for bound in (most, median, median - 1e-6):
        monkeypatch.setattr("e2e.cost.goals.GOALS", (replace(goal, most=bound),))
        (line,) = [line for line in page.page(run).splitlines() if line.startswith(f"| {goal.what} |")]
        verdicts.append(line.removesuffix(" |").rpartition(" | ")[2])
    by_median = "met" if most == median else "met by the median, not by every run"
    assert verdicts == ["met", by_median, "**missed**"]


def test_goals_of_what_was_not_measured_are_left_out() -> None:
    """Neither met nor missed."""
    run = raw()
    samples = [s for s in run.samples if s.gateway not in {LITELLM.name, WASM.name}]
    without = replace(run, samples=samples, compilations=())
    missing = {goal.what for goal, _ in judged(run)} - {goal.what for goal, _ in judged(without)}
    assert len(missing) == 4


def test_what_is_kept_is_what_was_measured() -> None:
    """To four digits, and from then on for good; a line for each measurement."""
    run = raw()
    again = Raw.load(run.dump())
    assert again.dump() == run.dump()
    assert (again.samples[5].cpu, again.memory[1], again.beside) == (run.samples[5].cpu, run.memory[1], 0.25)
    assert len(run.dump().splitlines()) > len(run.samples) + len(run.memory)


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_the_same_for_the_same_figures(name: str) -> None:
    """No date and no chance in it; its words can be found."""
    one, two = (PLOTS[name](raw()) for _ in range(2))
    assert one == two
    assert "<dc:date>" not in one
    assert ("LLMRoutes" if name == "compiler.svg" else NATIVE.name) in one


def test_the_page_is_made_of_the_raw_figures() -> None:
    """Nobody has edited a number in it."""
    run = Raw.load(page.RAW.read_text("utf-8"))
    assert page.PAGE.read_text("utf-8") == page.page(run)
    assert run.dump() == page.RAW.read_text("utf-8")
    for name in PLOTS:
        assert f"(performance/{name})" in page.page(run)
        assert (page.FOLDER / name).is_file()


def test_the_page_has_repetitions_enough() -> None:
    """Of every load on every gateway, and of what is said to be driven."""
    run = Raw.load(page.RAW.read_text("utf-8"))
    assert run.loads() == [load.name for load in all_loads()]
    assert {name for name in NAMES if name in run.gateways()} == set(run.gateways())
    assert min(len(list(run.of(name, load))) for name in run.gateways() for load in run.loads()) >= 5


def test_loads_have_names_of_their_own() -> None:
    """Tables are by name."""
    names = [load.name for load in all_loads()]
    assert len(set(names)) == len(names)
    assert Load("sse 1000", 8, 200 * KIB, usage=False, requests=1).name == (
        "SSE 1,000, body 200 KiB, usage not asked for x 8"
    )
    assert {load.name for load in few_loads()} <= set(names)


def test_an_answer_of_another_status_is_no_figure() -> None:
    """A refusal is quick, and would make a gateway look good."""
    said = {"requests": 3, "seconds": 1.0, "statuses": {"200": 2, "429": 1}, "latency": {}, "first": {}}
    with pytest.raises(DriveError, match="'429': 1"):
        Driven.read(said)
    assert Driven.read({**said, "statuses": {"200": 3}}).requests == 3


@pytest.mark.parametrize(
    ("edit", "filters", "calls"),
    [
        (lambda _, text: plain(text), ["router"], 0),
        (ratelimit_alone, ["ratelimit", "router"], 2),
        (native, ["json_to_metadata", "sse_to_metadata", "ratelimit", "router"], 2),
    ],
    ids=["plain", "ratelimit", "native"],
)
def test_envoys_without_our_filter(edit: Callable[[object, str], str], filters: list[str], calls: int) -> None:
    """Envoy takes them, and but for the filters and the limits they are what llmroute makes."""
    made = edit(PLAN, BOOTSTRAP)
    validate(made)
    ours, theirs = yaml.safe_load(BOOTSTRAP), yaml.safe_load(made)
    managers = [d["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0] for d in (ours, theirs)]
    mine, other = (manager["typed_config"] for manager in managers)
    assert [each["name"].rpartition(".")[2] for each in other.pop("http_filters")] == filters
    mine.pop("http_filters")
    (route,) = other["route_config"]["virtual_hosts"][0]["routes"]
    (own,) = mine["route_config"]["virtual_hosts"][0]["routes"]
    limits = route.pop("typed_per_filter_config").get("envoy.filters.http.ratelimit", {"rate_limits": []})
    assert len(limits["rate_limits"]) == calls
    own.pop("typed_per_filter_config")
    assert ours == theirs


def test_the_compilers_input() -> None:
    """So many LLMRoutes, none in another's way."""
    kinds = [document["kind"] for document in yaml.safe_load_all(many(7))]
    assert (kinds.count("LLMRoute"), kinds.count("Backend"), len(kinds)) == (7, 7, 14)


def test_what_linux_says_of_a_process() -> None:
    """Work shows as CPU time of the process and of the machine, memory as memory."""
    pid = int(Path("/proc/self").resolve().name)
    before, busy, own = cpu_seconds(pid), busy_seconds(), own_seconds()
    while own_seconds() < own + 0.2:
        sum(range(10_000))
    assert 0.15 < cpu_seconds(pid) - before < 10
    assert busy_seconds() - busy > 0.1
    thread = threading.Thread(target=lambda: sum(range(5_000_000)))
    before = cpu_seconds(pid)
    thread.start()
    thread.join()
    assert cpu_seconds(pid) - before > 0.02, "what a thread ran that has ended is not lost"


def test_what_a_process_holds() -> None:
    """64 MiB more are 64 MiB more."""
    program = "block = bytearray(b'x') * (%d << 20); print(flush=True); input()"
    held = []
    for size in (1, 65):
        command = [sys.executable, "-c", program % size]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            held.append(resident_mib(process.pid))
            process.communicate(b"\n")
    assert held[1] - held[0] == pytest.approx(64, abs=2)


def test_a_process_that_has_ended_has_no_memory() -> None:
    """A zombie's status has no such line."""
    with pytest.raises(ProcessLookupError, match="VmRSS"):
        status_kib("Name:\tx\nState:\tZ (zombie)\n", "VmRSS")
    assert status_kib("VmPeak:\t     1 kB\nVmRSS:\t   123 kB\n", "VmRSS") == 123


def test_every_gateway_is_in_the_package_s_words() -> None:
    """One row each; the table of the page names them all."""
    assert len(set(NAMES)) == len(NAMES)
    table = page.page(raw()).partition("## Goals")[0]
    assert all(re.search(rf"^\| {row.name} \| {re.escape(row.title)} \|$", table, re.MULTILINE) for row in ROWS)
    assert LUA.start is not NATIVE.start

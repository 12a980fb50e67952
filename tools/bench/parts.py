"""Where the time of the filter goes in Envoy: the script cut off after each of its parts, all by turns in one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from llmroute.render.lua import MODULES, bundle
from tools.bench.envoy import measure
from tools.bench.filter import SOURCES, Row
from tools.spread import spread

# What any filter of tokens has to do: read both bodies, set a header, say what was found out.
FLOOR: Final = """
function envoy_on_request(handle)
  local body = handle:body()
  local text = body:getBytes(0, body:length())
  handle:headers():replace("x-ai-gateway-llm-model-name", "gpt-4o")
  handle:streamInfo():dynamicMetadata():set("llmroute", "model", "gpt-4o")
end

function envoy_on_response(handle)
  local body = handle:body()
  local text = body:getBytes(0, body:length())
  handle:streamInfo():dynamicMetadata():set("llmroute", "total_tokens", 1)
end
"""


class Cut(NamedTuple):
    """Where a part ends: the filter stops behind these lines of a module."""

    part: str
    module: str
    after: str
    stop: str = "do return end\n"


_NO_ANSWER: Final = Cut("request: the rest", "filter", "function envoy_on_response(handle)\n")
# In the order in which a request meets them. In the first ones no answer is looked at.
REQUEST: Final = (
    Cut("nothing but the entry points", "filter", "function envoy_on_request(handle)\n"),
    Cut("request: context", "filter", "guard(handle, context.of, handle) or context.none(), {}\n"),
    Cut("request: metadata set to its defaults", "filter", "  guard(handle, meter.default, handle)\n"),
    Cut("request: headers and path", "filter", "  guard(handle, settle_all, headers, route.defaults)\n"),
    Cut("request: the body handed over", "filter", "    local buffer = not size and handle:body() or nil\n"),
    Cut(
        "request: the body read, its model told",
        "filter",
        "    guard(handle, read, handle, route, asked, buffer, size)\n",
    ),
    _NO_ANSWER,
)
ANSWER: Final = (
    Cut(
        "answer: metadata and limit headers read",
        "response",
        "  local kind = own(route, headers, status, seen, known)\n",
        "do return {} end\n",
    ),
    Cut(
        "answer: context, meter, reader",
        "response",
        "  local self = reader(route, headers, known)\n",
        "do return {} end\n",
    ),
    Cut(
        "answer: the estimate",
        "response",
        "  local self = reader(route, headers, known)\n  self.meter:write(handle)\n",
        "do return {} end\n",
    ),
    Cut(
        "answer: the body handed over, piece by piece",
        "filter",
        '  local body = guard(handle, bytes, chunk) or ""\n',
        "do return body, true end\n",
    ),
)
_LAST: Final = "answer: the body read, its usage told"


def scripts() -> dict[str, str]:
    """By part, the script up to its end; the last one is whole.

    Raises:
        ValueError: when the filter has changed so that a part does not end where it did.
    """
    sources = {name: (SOURCES / f"{name}.lua").read_text("utf-8") for name in MODULES}
    unanswered = _cut(sources, _NO_ANSWER)
    cuts = {cut.part: _cut(unanswered, cut) for cut in REQUEST[:-1]}
    cuts[_NO_ANSWER.part] = unanswered
    cuts |= {cut.part: _cut(sources, cut) for cut in ANSWER}
    return {part: bundle(modules) for part, modules in (cuts | {_LAST: sources}).items()}


def _cut(sources: Mapping[str, str], cut: Cut) -> dict[str, str]:
    source = sources[cut.module]
    if source.count(cut.after) != 1:
        raise ValueError(f"{cut.module}.lua has not once {cut.after.strip()!r}, where {cut.part!r} is cut off")
    return {**sources, cut.module: source.replace(cut.after, cut.after + cut.stop)}


def part_rows(rounds: int, requests: int) -> Iterator[Row]:
    """What each part costs beyond those before it, then all of them, and the floor beside them."""
    parts = scripts()
    costs = measure({"plain": None, **parts, "floor": FLOOR}, rounds, requests)
    for before, part in pairwise(("plain", *parts)):
        yield _row(f"Envoy: {part}", costs[part], costs[before])
    yield _row("Envoy: the filter", costs[_LAST], costs["plain"])
    yield _row("Envoy: the least that any filter does", costs["floor"], costs["plain"])
    ratios = [one / other for one, other in zip(costs["floor"], costs["plain"], strict=True)]
    yield Row("Envoy, the same to plain proxying", "x", spread(ratios), None, 1.25)


def _row(name: str, one: list[float], other: list[float]) -> Row:
    return Row(name, "us", spread([a - b for a, b in zip(one, other, strict=True)]))

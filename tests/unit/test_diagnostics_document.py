"""``docs/diagnostics.md``: a section for every code, and each snippet does what the section says."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from llmroute import codes
from llmroute.diagnostic import Code, Diagnostic
from llmroute.pipeline import compile_policies, judge_policies
from llmroute.plan import Plan
from llmroute.targets import ENVOY_GATEWAY, LUA, Capabilities, capabilities

DOCUMENT = Path(__file__).parents[2] / "docs/diagnostics.md"
SECTION = re.compile(r"^## (LR\d+) (.*)\n((?:(?!^## ).*\n)*)", re.MULTILINE)
BLOCK = re.compile(r"^```yaml (old|before|after)(.*)\n((?:(?!^```).*\n)+)```$", re.MULTILINE)
CATALOGUE = [code for name, code in vars(codes).items() if name.isupper() and isinstance(code, Code)]

IDLE = codes.NOT_YET.id
"""Kept for fields to come: an id keeps its meaning. There is nothing to show."""

HEAD = """\
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: default}
spec:
"""
GATEWAYS = "  targetRefs: [{name: ai-eg}]\n"
BACKENDS = "  backends:\n  - backendRef: {name: openai, kind: Backend}\n"
RULES = "    trafficPolicy:\n      rateLimit:\n        rules:\n"
ADDRESS = """\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: openai}
spec: {endpoints: [{fqdn: {hostname: llm.example.com, port: 443}}]}
"""


@dataclass
class Section:
    """``blocks``: role, target and text, in order."""

    id: str
    title: str
    why: str
    blocks: dict[str, tuple[Capabilities, str]] = field(default_factory=dict)


def sections() -> list[Section]:
    """All of the document."""
    return [_section(*found) for found in SECTION.findall(DOCUMENT.read_text(encoding="utf-8"))]


def _section(code: str, title: str, body: str) -> Section:
    section = Section(code, title, BLOCK.sub("", body).strip())
    for role, options, snippet in BLOCK.findall(body):
        assert role not in section.blocks
        said = dict(option.split("=") for option in options.split())
        assert said.keys() <= {"target", "times", "ratelimit", "engine"}
        engine = said.get("engine", LUA)
        target = capabilities(said.get("target", ENVOY_GATEWAY), engine=engine, module_url="https://modules.example")
        target = dataclasses.replace(target, refunds=said.get("ratelimit") == "embedded")
        section.blocks[role] = (target, policy(snippet, int(said.get("times", 1))))
    return section


def policy(snippet: str, times: int) -> str:
    """The whole input: the snippet in its place. ``N`` is the number of a rule that stands several times."""
    if snippet.startswith(("headers:", "metadata:", "limits:")):
        rule = textwrap.indent(snippet, "  ").replace("  ", "- ", 1)
        snippet = "".join(rule.replace("user-N", f"user-{n}") for n in range(times))
    if snippet.startswith("- "):
        return HEAD + GATEWAYS + BACKENDS + RULES + textwrap.indent(snippet, " " * 8) + ADDRESS
    if snippet.startswith("apiVersion:"):
        return snippet + ADDRESS
    gateways = "" if "targetRefs:" in snippet else GATEWAYS
    backends = "" if "backends:" in snippet else BACKENDS
    return HEAD + gateways + textwrap.indent(snippet, "  ") + backends + ADDRESS


def findings(section: Section, role: str) -> tuple[Diagnostic, ...]:
    """What is said of a snippet, and of the edit that it is where the section has an older state."""
    target, text = section.blocks[role]
    against = _plan(section) if "old" in section.blocks else None
    found = judge_policies([(role, text)], target, against=against).diagnostics
    # Most users of these snippets are what a client says: that is a note of its own.
    return tuple(d for d in found if d.code is not codes.UNVERIFIED or section.id == codes.UNVERIFIED.id)


def _plan(section: Section) -> Plan:
    target, text = section.blocks["old"]
    compiled = compile_policies([("old", text)], target)
    assert compiled.diagnostics == ()
    return compiled.plan


def test_every_code_has_a_section() -> None:
    """With its title, in order."""
    assert [(s.id, s.title) for s in sections()] == [(code.id, code.title) for code in CATALOGUE]
    assert [s.id for s in sections() if not s.blocks] == [IDLE]


@pytest.mark.parametrize("section", [s for s in sections() if s.id != IDLE], ids=lambda s: s.id)
def test_snippets_do_what_they_say(section: Section) -> None:
    """Before: this finding and no other. After: none."""
    assert {d.code.id for d in findings(section, "before")} == {section.id}
    assert findings(section, "after") == ()


@pytest.mark.parametrize("section", [s for s in sections() if s.id != IDLE], ids=lambda s: s.id)
def test_a_warning_is_called_one(section: Section) -> None:
    """And a note, too. Where the section says nothing else it is an error."""
    (severity,) = {d.severity.value for d in findings(section, "before")}
    assert severity == next((word for word in ("warning", "note") if section.why.startswith(f"A {word}")), "error")


@pytest.mark.parametrize("code", CATALOGUE, ids=lambda c: c.id)
def test_a_link_leads_to_its_section(code: Code) -> None:
    """As renderers make anchors of headings: lower case, blanks to dashes, no other signs."""
    file, _, anchor = code.link.partition("#")
    assert DOCUMENT.as_posix().endswith(f"/{file}")
    headings = re.findall(r"^## (.*)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = ["".join(c for c in h.lower() if c.isalnum() or c in " -_").replace(" ", "-") for h in headings]
    assert anchors.count(anchor) == 1

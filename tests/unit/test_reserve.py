"""``mode: Reserve`` from the policy to what a plain Envoy, its service and the filter are told."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import pytest
import yaml

from llmroute import names
from llmroute.targets import ENVOY, capabilities
from tests.policies import MODEL, USER, compiled, header, limit, read_context, route, rule, with_spec
from tests.unit.test_check import backend

EMBEDDED: Final = dataclasses.replace(capabilities(ENVOY), refunds=True)
EVERY_USER: Final = [header(USER, "Distinct")]
WEIGHTS: Final = {"prompt": 0.5, "cachedPrompt": 0.1, "cacheWrite": 1.25, "completion": 4, "reasoning": 6}


def reserved(*rules: dict[str, Any], **admission: Any) -> dict[str, Any]:
    """A policy in that mode."""
    return with_spec(route(*rules), admission={"mode": "Reserve", "maxTokens": 100} | admission)


def made(policy: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """What the filter is told, the rate limits of the route, and the service's configuration."""
    files = {a.path: a.text for a in compiled(policy, backend("llm"), target=EMBEDDED).artifacts}
    listener = yaml.safe_load(files["envoy.yaml"])["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (one,) = manager["route_config"]["virtual_hosts"][0]["routes"]
    configs = one["typed_per_filter_config"]
    return (
        read_context(configs["envoy.filters.http.lua"]["filter_context"]),
        configs["envoy.filters.http.ratelimit"]["rate_limits"],
        files["ratelimit/default.route.yaml"],
    )


def test_a_limit_acts_three_times() -> None:
    """The hold, the charge of what is beyond it, and the refund of what is left, which says when it was held."""
    _, acts, _ = made(reserved(rule(limit(10), headers=EVERY_USER)))
    hold, charge, refund = acts
    chain = charge["actions"]
    assert [next(iter(each)) for each in chain] == ["generic_key", "request_headers"]
    assert hold == {
        "actions": [
            *chain,
            {"generic_key": {"descriptor_key": names.HOLD_KEY, "descriptor_value": "all-or-nothing"}},
        ],
        "hits_addend": {"format": "%DYNAMIC_METADATA(llmroute:paid_1)%"},
    }
    assert charge["hits_addend"] == {"format": "%DYNAMIC_METADATA(llmroute:due_1)%"}
    held_at = {
        "descriptor_key": names.HELD_AT,
        "metadata_key": {"key": "envoy.filters.http.ratelimit", "path": [{"key": names.HELD_AT}]},
        "source": "DYNAMIC",
    }
    assert refund == {
        "actions": [*chain, {"metadata": held_at}],
        "hits_addend": {"format": "%DYNAMIC_METADATA(llmroute:refund_1)%", "is_negative_hits": True},
        "apply_on_stream_done": True,
    }
    assert charge["apply_on_stream_done"]
    assert "apply_on_stream_done" not in hold


def test_what_is_not_held() -> None:
    """Requests, shadows, and what admits nobody are as in every other mode."""
    others = [limit(5, "Request"), limit(5, shadow=True), limit(0)]
    for one in others:
        held, other = made(reserved(rule(one))), made(route(rule(one)))
        assert held[1] == other[1]
        assert _without_stamp(held[2]) == _without_stamp(other[2])
        assert "holds" not in made(reserved(rule(one)))[0]


def _without_stamp(text: str) -> str:
    """The first line has the hash of the LLMRoute."""
    return text.partition("\n")[2]


def test_what_the_filter_is_told() -> None:
    """The keys of each limit that holds, what it counts, and its dearest weights as whole numbers."""
    limits = [limit(10), limit(9, "Request"), limit(10, token="Prompt"), limit(10, shadow=True)]
    limits += [limit(10, unit="Day", token="Completion"), limit(20, weights=WEIGHTS)]
    context, _, _ = made(reserved(rule(*limits)))

    def told(number: int, key: str, scale: int, prompt: int, completion: int) -> dict[str, Any]:
        said = {name: f"{name}_{number}" for name in ("paid", "due", "refund")}
        return {**said, "key": key, "scale": scale, "prompt": prompt, "completion": completion}

    assert context["holds"] == [
        told(1, "total_tokens", 1, 1, 1),
        told(3, "prompt_tokens", 1, 1, 0),
        told(5, "completion_tokens", 1, 0, 1),
        told(6, "cost_1", 100, 125, 600),
    ]
    assert context["maxTokens"] == 100
    assert [(each["reported"], each.get("held")) for each in context["limits"]] == [
        (10, True),
        (9, None),
        (10, True),
        (20, True),
    ]


def test_the_service_is_told_the_quantity() -> None:
    """With a comment that says why."""
    _, _, config = made(reserved(rule(limit(10))))
    assert "requests_per_unit: 10\n" in config
    assert "# 10 tokens per hour: the check holds what the request may take, so the limit is N" in config


@pytest.mark.parametrize("admission", [{}, {"mode": "PostPaid"}, {"mode": "PostPaid", "settle": "Sync"}])
def test_other_modes_hold_nothing(admission: dict[str, Any]) -> None:
    """No mark, no refund, no hold."""
    policy = with_spec(route(rule(limit(10))), admission=admission)
    files = compiled(policy, backend("llm"), target=EMBEDDED).artifacts
    output = "".join(a.text.partition("inline_string")[0] + a.text.rpartition("envoy_on_response")[2] for a in files)
    assert not [word for word in (names.HOLD_KEY, names.HELD_AT, "paid_1", "refund_1", "holds:") if word in output]


def test_with_sync_the_filter_charges_what_is_due() -> None:
    """It knows what was paid of it; a limit that it cannot charge holds all the same, and a shadow holds nothing."""
    rules = [rule(limit(10), limit(10, shadow=True), headers=EVERY_USER)]
    rules.append(rule(limit(10), headers=[header(MODEL, "RegularExpression", ".*")]))
    context, acts, _ = made(reserved(*rules, settle="Sync"))
    assert [(each["due"], each.get("paid"), each.get("refund")) for each in context["settle"]["limits"]] == [
        ("due_1", "paid_1", "refund_1"),
        ("due_2", None, None),
    ]
    assert [each["due"] for each in context["holds"]] == ["due_1", "due_3"]
    charges = [a["hits_addend"]["format"] for a in acts if a.get("apply_on_stream_done")]
    assert charges == [
        f"%DYNAMIC_METADATA(llmroute:{key})%" for key in ("due_1", "refund_1", "due_2", "due_3", "refund_3")
    ]

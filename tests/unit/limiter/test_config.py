"""The configuration format of envoyproxy/ratelimit: what is read, what is refused, what is found."""

from __future__ import annotations

import pytest

from llmroute.limiter.config import ConfigError, Limit, Rate, domains_of, find_limit, parse
from llmroute.limiter.window import Unit

CONFIG = """\
domain: d
descriptors:
  - key: limit
    value: 0
    descriptors:
      - key: user
        rate_limit: {unit: hour, requests_per_unit: 9, name: per user}
      - {key: user, value: root, rate_limit: {unlimited: true}}
  - {key: model, value: gpt-*, rate_limit: {unit: DAY, requests_per_unit: 4}, shadow_mode: true}
  - {key: model, value: gpt-4*, rate_limit: {unit: Week, requests_per_unit: 5}}
  - {key: model, value: gpt-4o, rate_limit: {unit: second, requests_per_unit: 6}}
  - {key: model, rate_limit: {unit: month, requests_per_unit: 0}}
  - {key: parent, rate_limit: {unit: year, requests_per_unit: 1}, descriptors: [{key: child}]}
"""


@pytest.mark.parametrize(
    ("entries", "limit"),
    [
        ([("limit", "0"), ("user", "amy")], Limit(Rate(9, Unit.HOUR, "per user"))),
        ([("limit", "0"), ("user", "root")], Limit(None)),
        ([("model", "gpt-4o")], Limit(Rate(6, Unit.SECOND))),
        ([("model", "gpt-4o-mini")], Limit(Rate(4, Unit.DAY), shadow=True)),
        ([("model", "claude")], Limit(Rate(0, Unit.MONTH))),
        ([("model", "")], Limit(Rate(0, Unit.MONTH))),
        ([("parent", "x")], Limit(Rate(1, Unit.YEAR))),
    ],
)
def test_the_most_exact_descriptor_wins(entries: list[tuple[str, str]], limit: Limit) -> None:
    """Key and value go before wildcards, the first wildcard before the next, and the key alone comes last."""
    assert find_limit(parse(CONFIG, "f"), entries) == limit


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [("limit", "0")],
        [("limit", "1"), ("user", "amy")],
        [("limit", "0"), ("user", "amy"), ("more", "x")],
        [("user", "amy")],
        [("parent", "x"), ("child", "y")],
        [("parent", "x"), ("other", "y")],
    ],
)
def test_a_limit_needs_a_descriptor_of_its_very_depth(entries: list[tuple[str, str]]) -> None:
    """Neither a longer nor a shorter descriptor finds the limit."""
    assert find_limit(parse(CONFIG, "f"), entries) is None


def test_key_and_value_are_told_apart_by_nothing_but_the_underscore() -> None:
    """The real service joins them, so a key ``a_b`` answers for the key ``a`` with the value ``b``."""
    domain = parse("domain: d\ndescriptors: [{key: a_b, rate_limit: {unit: day, requests_per_unit: 1}}]", "f")
    assert find_limit(domain, [("a", "b")]) == Limit(Rate(1, Unit.DAY))


@pytest.mark.parametrize("metric", ["detailed_metric", "value_to_metric"])
def test_keys_that_only_name_metrics_are_read_over(metric: str) -> None:
    """They change no decision."""
    assert parse(f"domain: d\ndescriptors: [{{key: k, {metric}: true}}]", "f").name == "d"


def test_a_domain_without_descriptors_limits_nothing() -> None:
    """That is what an emptied policy looks like."""
    assert find_limit(parse("domain: d\ndescriptors:\n", "f"), [("a", "b")]) is None


def _descriptor(text: str) -> str:
    return f"domain: d\ndescriptors:\n  - {text}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f: the configuration is empty"),
        ("a: [", "f:1: not YAML"),
        ("a: b\n---\nc: d\n", "f:2: not YAML"),
        ("- a", "f:1: a mapping is expected"),
        ("? [a]\n: b", "f:1: a key must be a string"),
        ("descriptors: []", "f:1: a configuration needs a domain"),
        ("domain: d\ndomain: e", "f:2: the key 'domain' stands here twice"),
        ("domain: d\nlimits: []", "f:2: unknown key 'limits'; known are domain, descriptors"),
        ("domain: d\ndescriptors: {}", "f:2: 'descriptors' must be a list"),
        (_descriptor("x"), "f:3: a mapping is expected"),
        (_descriptor("{value: x}"), "f:3: a descriptor needs a key"),
        (_descriptor("{key: a, vlaue: x}"), "f:3: unknown key 'vlaue'"),
        (_descriptor("{key: a, value: 1.5}"), "f:3: 'value' must be a string; put quotes"),
        (_descriptor("{key: a, shadow_mode: 1}"), "f:3: 'shadow_mode' must be true or false"),
        (_descriptor("{key: a, quota_mode: true}"), "f:3: 'quota_mode' is not supported"),
        (_descriptor("{key: a, rate_limit: {unit: day, replaces: []}}"), "f:3: 'replaces' is not supported"),
        (_descriptor("{key: a, value: b}\n  - {key: a_b}"), "f:4: duplicate descriptor d.a_b"),
        (_descriptor("{key: a, rate_limit: {unit: dya, requests_per_unit: 1}}"), "f:3: invalid rate limit unit 'dya'"),
        (_descriptor("{key: a, rate_limit: {requests_per_unit: 1}}"), "f:3: invalid rate limit unit ''"),
        (_descriptor("{key: a, rate_limit: {unit: unknown, requests_per_unit: 1}}"), "invalid rate limit unit"),
        (_descriptor("{key: a, rate_limit: {unit: day}}"), "f:3: 'requests_per_unit' must be a whole number"),
        (_descriptor("{key: a, rate_limit: {unit: day, requests_per_unit: -1}}"), "must be a whole number"),
        (_descriptor("{key: a, rate_limit: {unit: day, requests_per_unit: 4294967296}}"), "to 4294967295"),
        (_descriptor("{key: a, rate_limit: {unit: day, requests_per_unit: '1'}}"), "must be a whole number"),
        (_descriptor("{key: a, rate_limit: {unit: day, unlimited: true}}"), "unlimited descriptor takes no unit"),
        ("domain: d\ndescriptors:\n  - &a {key: a, descriptors: [*a]}", "f:3: an alias"),
        ("domain: " + "[" * 9999, "f: nested too deeply"),
    ],
)
def test_a_mistake_is_one_clear_error(text: str, message: str) -> None:
    """With the file, the line where there is one, and what is wrong."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    assert message in str(caught.value)


def test_two_files_may_not_have_the_same_domain() -> None:
    """The real service refuses that as well."""
    with pytest.raises(ConfigError, match="two configurations for the domain 'd'"):
        domains_of([parse("domain: d", "f"), parse("domain: d", "g")])

"""Headers that the filter sets from what other filters found out, and that no client can set."""

from __future__ import annotations

from typing import Final

import pytest

from llmroute import names
from llmroute.render.lua import JSON
from tests.filters.proxy import CONTEXT, Engine, Stream

SPACE: Final = "envoy.filters.http.jwt_authn"
TEAM: Final = "x-ai-gateway-llm-metadata-1234abcd"
BODY: Final = b'{"model":"m","messages":[]}'


def entry(path: list[str], default: str = "unknown", header: str = TEAM) -> dict[str, JSON]:
    """One header and where it comes from."""
    return {"header": header, "namespace": SPACE, "path": path, "default": default}


def route(*entries: JSON, **more: JSON) -> JSON:
    """The context of a route that sets these headers."""
    assert isinstance(CONTEXT, dict)
    return {**CONTEXT, "metadata": list(entries), **more}


def told(engine: Engine, value: JSON, *entries: JSON) -> Stream:
    """A stream of which another filter knows this."""
    stream = engine.stream(route(*entries))
    stream.tell(SPACE, value)
    return stream


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("blue", "blue"),
        (" blue ", "blue"),
        ("é…", "é…"),
        (42, "42"),
        (-1, "-1"),
        (0, "0"),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (2**53, "9007199254740992"),
        (1e21, "1000000000000000000000"),
        (True, "true"),
        (False, "false"),
        ("true", "true"),
        ("", "unknown"),
        ("  ", "unknown"),
        ("a\nb", "unknown"),
        ("a\0", "unknown"),
        ([1], "unknown"),
        ({"a": 1}, "unknown"),
        (None, "unknown"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_values(engine: Engine, method: str, claim: JSON, value: str) -> None:
    """Text, numbers (whole ones without a point) and booleans; all else is the default, and so is what is no header."""
    stream = told(engine, {"jwt": {"team": claim}}, entry(["jwt", "team"]))
    message = stream.request(BODY if method == "POST" else None, [(TEAM, "spoofed"), (TEAM, "twice")], method=method)
    assert message.header(TEAM) == value
    assert stream.logs == []


@pytest.mark.parametrize(
    "value",
    [None, {}, {"jwt": None}, {"jwt": "x"}, {"jwt": {"Team": "x"}}, {"jwt": 1}, {"team": "x"}, {"jwt": ["team"]}],
)
def test_what_is_not_there_is_the_default(engine: Engine, value: JSON) -> None:
    """Whatever is missing on the way, and whatever the client says instead."""
    stream = engine.stream(route(entry(["jwt", "team"])))
    if value is not None:
        stream.tell(SPACE, value)
    assert stream.request(BODY, [(TEAM, "spoofed")]).header(TEAM) == "unknown"
    assert stream.logs == []


def test_paths_of_any_length(engine: Engine) -> None:
    """One step, and many."""
    known: JSON = {"a": "one", "b": {"c": {"d": {"e": "five"}}}}
    entries = [entry(["a"], header="x-a"), entry(["b", "c", "d", "e"], header="x-b"), entry(["a", "b"], header="x-c")]
    message = told(engine, known, *entries).request(BODY)
    assert [message.header(name) for name in ("x-a", "x-b", "x-c")] == ["one", "five", "unknown"]


def test_an_empty_default_is_no_header(engine: Engine) -> None:
    """It is gone whatever the client said, and what the route says of a missing header holds."""
    stream = engine.stream(route(entry(["jwt", "sub"], "", names.USER_HEADER), entry(["jwt", "x"], "", "x-other")))
    message = stream.request(BODY, [(names.USER_HEADER, "alice"), ("x-other", "b")])
    assert message.header(names.USER_HEADER) == names.ANONYMOUS
    assert message.header("x-other") is None


def test_a_claim_is_the_user(engine: Engine) -> None:
    """The token decides, not the header of that name."""
    stream = told(engine, {"jwt": {"sub": "alice"}}, entry(["jwt", "sub"], "", names.USER_HEADER))
    message = stream.request(BODY, [(names.USER_HEADER, "bob"), (names.USER_HEADER, "carol")])
    assert message.header(names.USER_HEADER) == "alice"


@pytest.mark.parametrize("sent", [[], ["x"], ["", "x"], [" "], ["x"] * 5])
def test_clients_never_name_their_own(engine: Engine, sent: list[str]) -> None:
    """However often it is sent."""
    stream = told(engine, {"jwt": {"team": "blue"}}, entry(["jwt", "team"]))
    assert stream.request(BODY, [(TEAM, value) for value in sent]).header(TEAM) == "blue"


def test_a_fault_leaves_the_default_not_the_clients_word(engine: Engine) -> None:
    """One header that cannot be made out does not open the others."""
    broken: dict[str, JSON] = {"header": TEAM, "namespace": SPACE, "path": 7, "default": "unknown"}
    stream = told(engine, {"jwt": {"team": "blue"}}, broken, entry(["jwt", "team"], header="x-b"))
    message = stream.request(BODY, [(TEAM, "spoofed"), ("x-b", "spoofed")])
    assert (message.header(TEAM), message.header("x-b")) == ("unknown", "blue")
    assert message.header(names.MODEL_HEADER) == "m"
    assert (len(stream.logs), stream.metadata["filter_error"]) == (1, 1)


@pytest.mark.parametrize("given", [None, "x", [], [None], ["x"], [{}], [{"header": 1}]])
def test_nonsense_is_no_fault(engine: Engine, given: JSON) -> None:
    """Without usable entries nothing happens."""
    assert isinstance(CONTEXT, dict)
    stream = engine.stream({**CONTEXT, "metadata": given})
    assert stream.request(BODY, [(TEAM, "mine")]).header(TEAM) == "mine"
    assert stream.logs == []

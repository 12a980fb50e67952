"""The comparison of gateways on a tiny load: every part runs, charges are exact, and the generator finds what is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from e2e.capability import lacking
from e2e.cost.__main__ import measure
from e2e.cost.gateways import LITELLM, LUA, PROXY, RATELIMIT, REDIS, ROWS, site
from e2e.cost.load import DriveError, drive, holding
from e2e.cost.loads import ALONE, JSON, KIB, Load
from e2e.cost.matrix import measured
from e2e.cost.page import page
from e2e.stacks.protocol import Unavailable
from e2e.stacks.tools import tool

pytestmark = pytest.mark.slow

LOADS = (
    replace(JSON, requests=40),
    replace(ALONE, requests=20),
    Load("sse 64", 2, KIB, usage=False, requests=20),
    Load("json 16384", 2, 200 * KIB, usage=True, requests=10),
)
"""Each kind of answer and of body, once."""
PARTS = {"direct": set[str](), "plain": {PROXY}}
ENVOYS = [row for row in ROWS if row is not LITELLM]


@pytest.fixture(autouse=True)
def tools(pytestconfig: pytest.Config) -> None:
    """What ``make check-bench`` has built."""
    try:
        tool("load"), tool("ratelimit")
    except Unavailable as missing:
        lacking(pytestconfig, missing)


def test_a_tiny_run_through_every_gateway() -> None:
    """All is measured, and what is charged is what is reported: ``measured`` raises otherwise."""
    raw = measure(ENVOYS, LOADS, repetitions=1, share=1, streams=20, sizes=(1, 20))
    assert Counter(each.gateway for each in raw.samples) == dict.fromkeys([row.name for row in ENVOYS], len(LOADS))
    for each in raw.samples:
        limits = each.gateway not in {"direct", "plain"}
        assert each.calls == (2 if limits else 0)
        assert set(each.cpu) == ({PROXY, RATELIMIT, REDIS} if limits else PARTS[each.gateway])
        assert all(seconds > 0 for seconds in each.cpu.values())
        assert 0 < each.first["p50"] <= each.latency["p50"] <= each.latency["p99"]
        assert not limits or 4 <= each.commands < 5, "one INCRBY and one EXPIRE for each call"
    assert [each.gateway for each in raw.memory] == [row.name for row in ENVOYS[1:] if not row.whole]
    assert all(each.holding > each.at_rest > 10 for each in raw.memory)
    assert [each.routes for each in raw.compilations] == [1, 20]
    assert "## The compiler" in page(raw)


def test_a_gateway_that_charges_otherwise_is_no_figure() -> None:
    """One that does not charge would look cheap."""
    with site() as around, LUA.start(around) as gateway:
        wrong = replace(LUA, charges=lambda _: 250)
        with pytest.raises(
            DriveError, match="llmroute, Lua, JSON 1 KiB x 8: 16 answers are charged 3984 tokens, not 4000"
        ):
            measured(gateway, wrong, JSON, 16, "wrong")


def test_what_the_generator_refuses() -> None:
    """Answers of another status, a gateway that is not there, streams that are none: each is an error that says so."""
    with site() as around:
        url = f"http://{around.upstream}"
        with pytest.raises(DriveError, match=r"answers by status: \{'400': 4\}, not 4 times 200"):
            drive(url, replace(JSON, answer="nothing 1", connections=2), 4, "user")
        with pytest.raises(DriveError, match=r"JSON 1 KiB x 8 at http://127.0.0.1:1: load drive: .*connection refused"):
            drive("http://127.0.0.1:1", JSON, 8, "user")
        with (
            pytest.raises(DriveError, match=r"3 streams at http://127.0.0.1:1: load hold: .*connection refused"),
            holding("http://127.0.0.1:1", 3, "user"),
        ):
            pass

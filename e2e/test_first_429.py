"""``manifests/README.md``, from nothing to the first 429: its commands in its order, on a cluster that has nothing of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

from e2e.client import Client, assert_refused, wait_for
from e2e.terminal import COMPLETE, ROOT, Terminal, chart_of, images_of, on_free_port
from llmroute.conformance.windows import wait_until_clear
from llmroute.local.ports import port_is_free
from llmroute.plan import Unit
from tests.documents import blocks_in, commands, section

if TYPE_CHECKING:
    from e2e.stacks.kind import KindStack  # needs more than the other stacks

STEPS: Final = section((ROOT / "manifests/README.md").read_text("utf-8"), "From nothing to the first 429")
(CREATE,), (REDIS, INSTALL), (GATEWAY, DOCTOR), (EXAMPLE,), (ADDRESS,), (SERVICE, FORWARD, HOST), (ASK,) = (
    commands(block) for block in blocks_in(STEPS, "shell")
)
"""All that the page shows: one command more or less fails here."""
_PORT: Final = 8888
"""Of the page's port-forward."""


def test_the_first_step_made_the_cluster(kind: KindStack) -> None:
    """The stack's own command is the page's, with a name, a place for its kubeconfig and an image of its own."""
    program, *arguments = (word.removeprefix(f"{ROOT}/") for word in kind.cluster.creation)
    assert " ".join([Path(program).name, *arguments]).startswith(f"{CREATE} --name ")


def test_from_nothing_to_the_first_429(kind: KindStack, terminal: Terminal) -> None:
    """Steps 2 to 6: an answer of 37 tokens, 37 in the page's Redis under the one key there is, then 429, and still 37."""
    terminal.do(REDIS)
    terminal.do(chart_of(kind.cluster, INSTALL) + images_of(kind.cluster))
    terminal.do(GATEWAY)
    terminal.repeat(DOCTOR, COMPLETE)
    terminal.do(EXAMPLE)
    kind.follow(terminal.do(".venv/bin/llmroute generate manifests/examples/ratelimit-demo/llmroute.yaml"))
    wait_until_clear({Unit.MINUTE})

    terminal.do(ADDRESS)
    assert terminal.do("echo $GATEWAY_HOST").startswith("192.0.2."), "the address that the stack lends"
    port, (forward, host) = on_free_port(_PORT, FORWARD, HOST)
    terminal.do(SERVICE)
    terminal.do(forward)
    terminal.do(host)
    assert wait_for(lambda: not port_is_free("127.0.0.1", port)), "nothing is forwarded"

    answer = json.loads(terminal.do(ASK))
    assert answer["usage"] == {"completion_tokens": 10, "prompt_tokens": 27, "total_tokens": 37}
    assert wait_for(lambda: list(kind.counters().values()) == [37]), kind.counters()
    assert json.loads(terminal.do(ASK))["error"]["code"] == "rate_limit_exceeded"
    client = Client(kind)
    assert_refused(
        client.send(shlex.split(ASK)[-1].encode(), headers={"x-user-id": "test1"}, path="/openai/v1/chat/completions")
    )
    client.close()
    assert (kind.used(0, "test1"), list(kind.counters().values())) == (37, [37])

"""``docs/quickstart.md``, on a cluster that is there already: its commands in its order, and its policy as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from e2e.client import Answer, Client, assert_refused, wait_for
from e2e.provider import Provider
from e2e.stacks.kind_cluster import GATEWAY, SYSTEM
from e2e.terminal import COMPLETE, ROOT, Terminal, chart_of, images_of, on_free_port
from llmroute import names
from llmroute.conformance.windows import wait_until_clear
from llmroute.local.ports import port_is_free
from llmroute.plan import Unit
from tests.documents import blocks_in, commands, section

if TYPE_CHECKING:
    from e2e.stacks.kind import KindStack  # needs more than the other stacks

PAGE: Final = section((ROOT / "docs/quickstart.md").read_text("utf-8"), "On a cluster that is there already")
(
    (DOCTOR,),
    (REDIS, UPGRADE, RESTART, WAIT),
    (CHECK, GENERATE, TRY),
    (APPLY, STATUS),
    (FORWARD, EXPLAIN),
    (TAKE_BACK,),
) = (commands(block) for block in blocks_in(PAGE, "shell"))
"""All that the part shows: a command that no test runs fails here."""
(POLICY,) = blocks_in(PAGE, "yaml")
_PORT: Final = 6379
"""Of the page's port-forward."""
_VALUES: Final = "manifests/envoy-gateway/values.yaml"
LACKING: Final = [
    f"missing: extensionApis.enableLua: true; without it every route answers 500 ({_VALUES})",
    f"missing: extensionApis.enableBackend: true; without it no Backend is routed to ({_VALUES})",
    f"missing: rateLimit.backend.redis; without it nothing is limited ({_VALUES})",
    "missing: the ratelimit server, which Envoy Gateway deploys once rateLimit.backend is set",
]
"""By an Envoy Gateway as its chart has it."""
ACCEPTED: Final = """\
HTTPRoute: Route is accepted\x20
EnvoyExtensionPolicy: Policy has been accepted.\x20
BackendTrafficPolicy: Policy has been accepted.\x20
"""
"""Each with its message, and no message of what is False."""


@pytest.fixture
def installed(kind: KindStack, terminal: Terminal) -> Terminal:
    """The reader's terminal, at a cluster with an Envoy Gateway that knows nothing of llmroute."""
    release = chart_of(kind.cluster, UPGRADE.partition(" --reuse-values")[0])
    terminal.do(f"{release} --install --create-namespace -f manifests/kind/values.yaml{images_of(kind.cluster)}")
    terminal.do(WAIT)
    kind.cluster.apply(GATEWAY.read_text("utf-8"))  # for its class
    return terminal


@pytest.fixture
def gateway(kind: KindStack, installed: Terminal, tmp_path: Path) -> Iterator[None]:
    """The reader's Gateway, ``public`` in ``models``; what the policy calls api.openai.com is in the cluster."""
    kubectl = kind.cluster.kubectl
    provider = Provider(kubectl, "api.openai.com", tmp_path / "authority")
    infrastructure = {"parametersRef": {"group": names.ENVOY_GATEWAY_API, "kind": "EnvoyProxy", "name": "provider"}}
    listeners = [{"name": "http", "protocol": "HTTP", "port": 80}]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "models"}}
    public = {
        "apiVersion": f"{names.GATEWAY_API}/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": "models"},
        "spec": {"gatewayClassName": "eg", "infrastructure": infrastructure, "listeners": listeners},
    }
    assert installed, "an Envoy Gateway makes it"
    try:
        provider.start()
        kubectl.apply([namespace, provider.known_to("models"), public])
        yield
    finally:
        kubectl.delete([namespace])
        provider.stop()


def configuration(terminal: Terminal) -> Any:
    """What Envoy Gateway's release was given."""
    return yaml.safe_load(terminal.do(f"helm get values eg -n {SYSTEM} -o yaml"))


def ask(client: Client) -> Answer:
    """A request of the user and for the model that the page asks about, of 4,000 tokens."""
    return client.chat(4_000, user="alice", model="gpt-4o")


@pytest.mark.usefixtures("gateway")
def test_from_what_lacks_to_a_refused_request(kind: KindStack, installed: Terminal) -> None:
    """All steps, to 12,000 of 10,000 tokens: in Redis, on the page's commands, and by the 429 that nobody else saw."""
    terminal = installed
    before = configuration(terminal)
    lacks = terminal.run(DOCTOR)
    assert (lacks.returncode, lacks.stdout.splitlines()) == (2, LACKING)
    for command in (REDIS, chart_of(kind.cluster, UPGRADE), RESTART, WAIT):
        terminal.do(command)
    # The new one takes over from the old one, which is gone, when its lease ends: a quarter of a minute.
    kind.cluster.kubectl("delete", "leases", "--all", "-n", SYSTEM)
    terminal.repeat(DOCTOR, COMPLETE)
    added = yaml.safe_load((ROOT / _VALUES).read_text("utf-8"))
    before["config"]["envoyGateway"] |= added["config"]["envoyGateway"]
    assert configuration(terminal) == before

    (terminal.folder / "policy.yaml").write_text(POLICY, "utf-8")
    terminal.do(CHECK)
    terminal.do(GENERATE)
    generated = (terminal.folder / "out/envoy-gateway.yaml").read_text("utf-8")
    tried = terminal.do(TRY).splitlines()
    assert [line.partition(" ")[2] for line in tried] == ["created (server dry run)"] * 4
    assert terminal.run(STATUS).returncode != 0, "the dry run left something"
    terminal.do(APPLY)
    terminal.repeat(STATUS, ACCEPTED)
    kind.follow(generated)
    wait_until_clear({Unit.HOUR})
    kind.reset()

    client = Client(kind)
    for used in (4_000, 8_000, 12_000):
        answer = ask(client)
        assert answer.status == 200
        assert answer.served
        assert answer.served.header("host") == "api.openai.com"
        assert client.settled(used, 0, "alice") == used
    refused = ask(client)
    client.close()
    assert_refused(refused)
    assert list(kind.counters().values()) == [12_000]

    port, (forward, explain) = on_free_port(_PORT, FORWARD, EXPLAIN)
    terminal.do(forward)
    assert wait_for(lambda: not port_is_free("127.0.0.1", port)), "nothing is forwarded"
    explained = terminal.do(explain).splitlines()
    assert "  now:     refused, by limit 1" in explained
    assert "     used:      12000 of 10000, 0 left: refused" in explained

    terminal.do(TAKE_BACK)
    assert terminal.do("kubectl get --ignore-not-found -o name -f out/envoy-gateway.yaml") == ""

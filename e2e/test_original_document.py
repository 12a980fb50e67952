"""The original document's steps on a real cluster, its manifest unchanged but for the model server's image."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from e2e.client import Client, assert_refused, wait_for
from llmroute.conformance.windows import wait_until_clear
from llmroute.plan import Unit
from tools import doctor

if TYPE_CHECKING:
    from e2e.stacks.kind import KindStack  # needs more than the other stacks

DEMO: Final = Path(__file__).parent.parent / "manifests" / "examples" / "ratelimit-demo" / "llmroute.yaml"
LLMROUTE: Final = Path(sys.executable).with_name("llmroute")
HEADERS: Final = (
    "content-type: application/json",
    "x-ai-gateway-llm-backend: huggingface-backend-ratelimit",
    "x-user-id: test1",
)
BODY: Final = (
    '{"model": "hf-opt-125m-chat", "messages": [{"role":"system","content":"You are a helpful assistant. Please answer'
    ' all of my questions in pirate speak, matey"}, {"role": "user", "content": "why open source is important?"}],'
    ' "stream":false, "max_tokens" : 10}'
)
UNSAFE_LUA: Final = 'function envoy_on_request(h) setmetatable({}, {}) h:headers():add("x", "y") end'


@pytest.fixture
def document(kind: KindStack) -> KindStack:
    """The original manifest through ``llmroute generate``, applied, with empty counters."""
    generate = [str(LLMROUTE), "generate", str(DEMO)]
    generated = subprocess.run(generate, capture_output=True, text=True, check=True).stdout
    kind.withdraw()
    kind.put(generated)
    wait_until_clear({Unit.MINUTE})
    kind.reset()
    return kind


def curl(kind: KindStack) -> tuple[int, Any]:
    """The document's request, by curl: status and body."""
    command = ["curl", "-sS", "-w", "\n%{http_code}", "-X", "POST", f"{kind.url}/openai/v1/chat/completions"]
    command += [argument for header in HEADERS for argument in ("-H", header)]
    body, _, status = subprocess.run(
        [*command, "-d", BODY], capture_output=True, text=True, check=True, timeout=30
    ).stdout.rpartition("\n")
    return int(status), json.loads(body)


def conditions(kind: KindStack, resource: str, name: str) -> dict[str, str]:
    """Every condition of an object, of its parents and of its ancestors."""
    status = kind.cluster.kubectl.get(resource, name, "-n", "default")["status"]
    holders = [status, *status.get("parents", []), *status.get("ancestors", [])]
    return {c["type"]: c["status"] for holder in holders for c in holder.get("conditions", [])}


def test_the_first_request_passes_and_the_second_is_refused(document: KindStack) -> None:
    """Step 7: 200 with 37 tokens, 37 in Redis under the one key there is, then 429, and still 37."""
    status, answer = curl(document)
    assert (status, answer["usage"]) == (200, {"completion_tokens": 10, "prompt_tokens": 27, "total_tokens": 37})
    assert wait_for(lambda: list(document.counters().values()) == [37]), document.counters()
    status, answer = curl(document)
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    client = Client(document)
    refused = client.send(BODY.encode(), headers={"x-user-id": "test1"}, path="/openai/v1/chat/completions")
    client.close()
    assert_refused(refused)
    assert document.used(0, "test1") == 37
    assert list(document.counters().values()) == [37]


def test_everything_is_accepted(document: KindStack) -> None:
    """The Gateway is programmed, the route and both policies are accepted."""
    assert conditions(document, "gateway", "ai-eg")["Programmed"] == "True"
    assert conditions(document, "httproute", "ratelimit-demo")["Accepted"] == "True"
    assert conditions(document, "httproute", "ratelimit-demo")["ResolvedRefs"] == "True"
    assert conditions(document, "envoyextensionpolicy", "ratelimit-demo")["Accepted"] == "True"
    assert conditions(document, "backendtrafficpolicy", "ratelimit-demo")["Accepted"] == "True"


def test_the_manifest_differs_in_the_image_alone(kind: KindStack) -> None:
    """One line: the model server's image."""
    original = DEMO.read_text("utf-8")
    lines = difflib.unified_diff(original.splitlines(), kind.cluster.adapted(original).splitlines(), n=0, lineterm="")
    changes = [line.split() for line in lines if not line.startswith(("---", "+++", "@@"))]
    assert changes == [["-", "image:", "kserve/huggingfaceserver"], ["+", "image:", kind.cluster.images.upstream]]


def test_lua_is_validated_strictly(document: KindStack) -> None:
    """What accepted our script is Envoy Gateway's Strict validation: it refuses another one."""
    policy = kind_policy("unsafe", UNSAFE_LUA)
    kubectl = document.cluster.kubectl
    kubectl.apply([policy])
    try:
        assert wait_for(lambda: "Accepted" in conditions_or_none(document)), "no status"
        assert conditions(document, "envoyextensionpolicy", "unsafe")["Accepted"] == "False"
    finally:
        kubectl.delete([policy])


def kind_policy(name: str, script: str) -> dict[str, Any]:
    """An EnvoyExtensionPolicy on a route of its own name, which need not be there."""
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "ai-eg"}
    spec = {"targetRefs": [target], "lua": [{"type": "Inline", "inline": script}]}
    metadata = {"name": name, "namespace": "default"}
    api = "gateway.envoyproxy.io/v1alpha1"
    return {"apiVersion": api, "kind": "EnvoyExtensionPolicy", "metadata": metadata, "spec": spec}


def conditions_or_none(kind: KindStack) -> dict[str, str]:
    """The conditions of the unsafe policy, once it has a status."""
    item = kind.cluster.kubectl.get("envoyextensionpolicy", "unsafe", "-n", "default")
    return conditions(kind, "envoyextensionpolicy", "unsafe") if "status" in item else {}


def test_the_doctor_finds_nothing(kind: KindStack) -> None:
    """A cluster made from the manifests lacks nothing."""
    assert list(doctor.examine(doctor.Cluster(kind.cluster.kubectl.base), "envoy-gateway-system")) == []


def test_values_and_config_say_the_same() -> None:
    """Envoy Gateway's configuration as Helm values, and as the ConfigMap for one that is installed already."""
    folder = DEMO.parents[2] / "envoy-gateway"
    values = yaml.safe_load((folder / "values.yaml").read_text("utf-8"))["config"]["envoyGateway"]
    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))["data"]["envoy-gateway.yaml"]
    assert yaml.safe_load(config).items() >= values.items()

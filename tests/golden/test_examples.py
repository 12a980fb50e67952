"""The committed output of every example: current, valid for its target, and complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmroute import names
from llmroute.limiter import parse
from llmroute.local.envoy import validate as validate_bootstrap
from llmroute.pipeline import compile_policies
from llmroute.render.lua import filter_source
from llmroute.targets import ENVOY_GATEWAY, capabilities
from tests.golden.crds import validate
from tools.examples import examples, outputs

ALL = examples()


def name_of(policy: Path) -> str:
    """The example's name."""
    return policy.parent.name


def stream(policy: Path) -> list[dict[str, Any]]:
    """The committed Envoy Gateway output."""
    return list(yaml.safe_load_all((policy.parent / "out/envoy-gateway.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("policy", ALL, ids=name_of)
def test_the_output_is_current(policy: Path) -> None:
    """What is committed is what is made; ``make regenerate`` rewrites it."""
    out = policy.parent / "out"
    wanted = {out / a.path: a.text for a in outputs(policy)}
    assert {p: p.read_text(encoding="utf-8") for p in out.rglob("*") if p.is_file()} == wanted


@pytest.mark.usefixtures("crds_at_hand")
@pytest.mark.parametrize("policy", ALL, ids=name_of)
def test_the_output_is_valid_for_envoy_gateway(policy: Path) -> None:
    """Every document passes the CRDs with their CEL rules, without an unknown field."""
    documents = stream(policy)
    assert {"HTTPRoute", "EnvoyExtensionPolicy", "BackendTrafficPolicy"} <= {d["kind"] for d in documents}
    assert {d["kind"]: validate(d) for d in documents if validate(d)} == {}


@pytest.mark.parametrize("policy", ALL, ids=name_of)
def test_the_output_is_valid_for_envoy(policy: Path) -> None:
    """``envoy --mode validate`` takes the bootstrap, and the service's format is what our reader of it reads."""
    folder = policy.parent / "out/envoy"
    validate_bootstrap((folder / "envoy.yaml").read_text(encoding="utf-8"))
    for file in (folder / "ratelimit").iterdir():
        assert parse(file.read_text(encoding="utf-8"), file.name).name.startswith("default/")


@pytest.mark.parametrize("policy", ALL, ids=name_of)
def test_what_is_made_belongs_together(policy: Path) -> None:
    """Names, targets, labels and hash of the objects, and the script as it is bundled."""
    made = {d["kind"]: d for d in stream(policy) if d["metadata"].get("labels", {}).get(names.MANAGED_BY_LABEL)}
    assert list(made)[:3] == ["HTTPRoute", "EnvoyExtensionPolicy", "BackendTrafficPolicy"]
    assert list(made)[3:] in ([], ["SecurityPolicy"])
    assert {d["metadata"]["name"] for d in made.values()} == {policy.parent.name}
    assert len({d["metadata"]["annotations"][names.HASH_ANNOTATION] for d in made.values()}) == 1
    target = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": policy.parent.name}]
    assert [d["spec"]["targetRefs"] for d in made.values() if d["kind"] != "HTTPRoute"] == [target] * (len(made) - 1)
    assert made["EnvoyExtensionPolicy"]["spec"]["lua"][0]["inline"] == filter_source()


def test_other_documents_pass_unchanged_and_in_place() -> None:
    """The original document: six others stay as they are, the LLMRoute gives three in its place."""
    policy = next(p for p in ALL if p.parent.name == "ratelimit-demo")
    text = policy.read_text(encoding="utf-8")
    before = [d for d in yaml.safe_load_all(text) if d]
    assert [d["kind"] for d in stream(policy)[:3]] == ["HTTPRoute", "EnvoyExtensionPolicy", "BackendTrafficPolicy"]
    assert stream(policy)[3:] == before[1:]
    made = compile_policies([("x", text)], capabilities(ENVOY_GATEWAY)).artifacts[0].text
    for document in text.split("---\n")[1:]:
        assert document in made, "byte for byte, comments included"

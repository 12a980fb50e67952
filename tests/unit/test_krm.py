"""``llmroute krm`` on ResourceLists as kustomize and kpt write them; ``tests/cli/test_gitops.py`` has the tools themselves."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from llmroute import names
from llmroute.krm import NoResourceList, carry_out
from llmroute.pipeline import compile_policies
from llmroute.render.yaml import dump
from llmroute.targets import ENVOY_GATEWAY, capabilities
from tests.policies import limit, route, rule, text

ROUTE = route(rule(limit(10)))
LOCAL = "config.kubernetes.io/local-config"
KINDS = ["HTTPRoute", "EnvoyExtensionPolicy", "BackendTrafficPolicy"]
COMMENTED = """\
apiVersion: config.kubernetes.io/v1
kind: ResourceList
items:
- # of this machine
  apiVersion: v1
  kind: ConfigMap
  metadata:
    name: settings # kpt-set: ${name}
  data:
    octal: 0x10
    script: |
      # not a comment
      - not an item
# about the route
- apiVersion: v1
  kind: Service
  metadata: {name: llm}
functionConfig:
  data: {egVersion: "1.9"}
"""


def annotated(document: dict[str, Any], **annotations: str) -> dict[str, Any]:
    """The same object with annotations."""
    return {**document, "metadata": {**document["metadata"], "annotations": annotations}}


def resource_list(*items: Any, **more: Any) -> str:
    """A ResourceList."""
    return dump({"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": list(items), **more})


def run(text: str) -> dict[str, Any]:
    """What comes out, as data."""
    outcome = carry_out(text)
    made: dict[str, Any] = yaml.safe_load(outcome.text)
    assert outcome.failed == any(r["severity"] == "error" for r in made.get("results", []))
    return made


def kinds(made: dict[str, Any]) -> list[str]:
    """Of the items, in order."""
    return [item["kind"] for item in made["items"]]


def test_what_is_made_takes_the_place_of_the_route() -> None:
    """It is what ``generate`` makes, between the same neighbours."""
    one, two = ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": n}} for n in "ab")
    made = run(resource_list(one, ROUTE, two))
    (artifact,) = compile_policies([("LLMRoute default/route", text(ROUTE))], capabilities(ENVOY_GATEWAY)).artifacts
    assert made["items"] == [one, *yaml.safe_load_all(artifact.text), two]
    assert "results" not in made


def test_other_items_keep_their_text() -> None:
    """Comments are kpt's setters: they stay, byte for byte; so do numbers that another writer would write anew."""
    before = COMMENTED.partition("items:\n")[2].partition("functionConfig")[0]
    out = carry_out(COMMENTED + "").text
    # A comment above a dash is written behind it, as the tools do.
    assert out.partition("items:\n")[2].partition("functionConfig")[0] == before.replace(
        "# about the route\n- apiVersion", "- # about the route\n  apiVersion"
    )
    with_route = COMMENTED.replace("items:\n", "items:\n" + "".join(f"  {x}\n" for x in dump([ROUTE]).splitlines())[2:].replace("\n  ", "\n"))  # fmt: skip
    assert kinds(run(with_route)) == [*KINDS, "ConfigMap", "Service"]
    assert "    name: settings # kpt-set: ${name}\n" in carry_out(with_route).text


def test_a_list_on_one_line() -> None:
    """JSON is YAML: items without lines of their own are written anew."""
    import json

    given = json.dumps(yaml.safe_load(resource_list(ROUTE, {"apiVersion": "v1", "kind": "Service", "a": "0x10"})))
    made = run(given)
    assert kinds(made) == [*KINDS, "Service"]
    assert made["items"][-1]["a"] == "0x10"


def test_the_hash_is_that_of_the_policy() -> None:
    """Whatever the tools note on the LLMRoute on its way."""
    books = {"config.kubernetes.io/index": "0", "internal.config.kubernetes.io/path": "a.yaml", LOCAL: "false"}
    plain, noted = (run(resource_list(item)) for item in (ROUTE, annotated(ROUTE, **books)))
    assert plain["items"] == noted["items"]
    other = run(resource_list(annotated(ROUTE, team="a")))
    assert other["items"][0]["metadata"]["annotations"] != plain["items"][0]["metadata"]["annotations"]


def test_a_local_route_stays_and_a_second_run_changes_nothing() -> None:
    """Not even where each object stands: tools find its file by the books on it."""
    source = annotated(ROUTE, **{LOCAL: "true", "config.kubernetes.io/path": "policy.yaml"})
    first = run(resource_list(source))
    assert kinds(first) == ["LLMRoute", *KINDS]
    assert first["items"][0] == source
    for n, item in enumerate(first["items"][1:]):
        item["metadata"]["annotations"]["internal.config.kubernetes.io/path"] = f"default/{n}.yaml"
    assert run(resource_list(*first["items"])) == first


def test_what_an_earlier_run_made_gives_way() -> None:
    """Also a kind that the policy asks for no more; nobody else's object does."""
    keys = {"credentialRefs": [{"name": "keys"}]}
    before = run(
        resource_list(annotated({**ROUTE, "spec": {**ROUTE["spec"], "identity": {"apiKey": keys}}}, **{LOCAL: "true"}))
    )
    assert kinds(before) == ["LLMRoute", *KINDS, "SecurityPolicy"]
    after = run(resource_list(annotated(ROUTE, **{LOCAL: "true"}), *before["items"][1:]))
    assert kinds(after) == ["LLMRoute", *KINDS]
    theirs = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "route", "namespace": "default"}}  # fmt: skip
    taken = run(resource_list(ROUTE, theirs))
    assert [r["message"][:6] for r in taken["results"]] == ["LR016:"]
    assert taken["items"] == [ROUTE, theirs]


def test_mistakes_are_results() -> None:
    """With the object, its file and the field; the items are left as they came."""
    bad = annotated(route(rule(limit(-1))), **{"config.kubernetes.io/path": "policies/chat.yaml"})
    made = run(resource_list(bad))
    field = "spec.backends[0].trafficPolicy.rateLimit.rules[0].limits[0].quantity"
    assert made["items"] == [bad]
    assert made["results"] == [
        {
            "message": f"LR004: {field} must be at least 0, not -1",
            "severity": "error",
            "file": {"path": "policies/chat.yaml"},
            "field": {"path": field},
            "resourceRef": {"apiVersion": names.API_VERSION, "kind": "LLMRoute", "namespace": "default", "name": "route"},
        }
    ]  # fmt: skip
    assert carry_out(resource_list(bad)).said == (
        f"policies/chat.yaml: error LR004: {field} must be at least 0, not -1",
    )


@pytest.mark.parametrize("items", [[], [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}]])
def test_nothing_to_do(items: list[Any]) -> None:
    """A function in a pipeline passes on what is not its business."""
    assert run(resource_list(*items)) == yaml.safe_load(resource_list(*items))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("a: [", "<stdin>:2:1: error LR001"),
        ("", "is not one ResourceList"),
        (text(ROUTE), "is not one ResourceList"),
        (resource_list() + "---\n" + resource_list(), "is not one ResourceList"),
        ("apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems: {a: 1}\n", "items is not a list"),
        (resource_list(functionConfig={"data": {"egversion": "1.9"}}), "functionConfig knows one option, egVersion"),
        (resource_list(functionConfig={"spec": {"egVersion": "1.8"}}), "egVersion is one of 1.9, not 1.8"),
    ],
    ids=["no-yaml", "empty", "a-route", "two", "no-list", "option", "version"],
)
def test_what_is_no_resource_list(given: str, says: str) -> None:
    """One line that says so."""
    with pytest.raises(NoResourceList, match="(?s).*" + says.replace("[", r"\[")) as error:
        carry_out(given)
    assert "\n" not in str(error.value)

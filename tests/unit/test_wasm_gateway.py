"""``--engine wasm`` for Envoy Gateway: who charges what, where the module comes from, and what cannot be charged."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from hashlib import sha256
from typing import Any, Final

import pytest
import yaml

from llmroute.render.oci import module_image
from llmroute.render.wasm import filter_module
from llmroute.targets import COMPOSE, ENVOY, ENVOY_GATEWAY, WASM, capabilities
from tests.policies import compiled, findings, header, limit, route, rule, with_spec

FILE: Final = "https://files.example/filter.wasm"
IMAGE: Final = "oci://registry.example/llmroute:1"
USERS: Final = [header("x-user-id", "Distinct")]
LIMITS: Final = [
    limit(10, unit="Hour"),
    limit(20, "Request", "Hour"),
    limit(0, unit="Day"),
    limit(30, unit="Day", shadow=True),
    limit(40, "Request", "Day", shadow=True),
]
POLICY: Final = route(rule(*LIMITS, headers=USERS))
ON_WASM: Final = capabilities(ENVOY_GATEWAY, engine=WASM, module_url=FILE)


def made(*documents: dict[str, Any], url: str = FILE) -> dict[str, dict[str, Any]]:
    """The specs of what is made, by kind."""
    result = compiled(*documents, target=capabilities(ENVOY_GATEWAY, engine=WASM, module_url=url))
    assert result.artifacts, result.diagnostics
    return {each["kind"]: each["spec"] for each in yaml.safe_load_all(result.artifacts[0].text)}


def context(**spec: Any) -> dict[str, Any]:
    """What the filter is told."""
    reader, _ = made(with_spec(POLICY, **spec))["EnvoyExtensionPolicy"]["wasm"]
    ((only),) = reader["config"]["contexts"]
    told: dict[str, Any] = only["context"]
    return told


def test_the_proxy_charges_what_is_a_number() -> None:
    """Nothing of what an answer uses: the proxy could not read it. Checks stay, and a shadow of requests."""
    by_wasm = made(POLICY)["BackendTrafficPolicy"]["rateLimit"]["global"]["rules"]
    (stream,) = compiled(POLICY).artifacts
    by_kind = {each["kind"]: each["spec"] for each in yaml.safe_load_all(stream.text)}
    by_lua = by_kind["BackendTrafficPolicy"]["rateLimit"]["global"]["rules"]
    responses = [each["cost"].pop("response", None) for each in by_wasm]
    assert responses == [None, None, None, None, {"from": "Number", "number": 1}]
    for each in by_lua:
        each["cost"].pop("response", None)
    assert by_wasm == by_lua


@pytest.mark.parametrize(("settle", "late"), [("Async", True), ("Sync", None)])
def test_the_filter_charges_the_rest(settle: str, late: bool | None) -> None:
    """The token limits that answers charge, the shadow among them, under the counters' names; ``Async`` at the end alone."""
    told = context(admission={"settle": settle})
    assert (told["settle"]["rest"], told["settle"].get("late"), told["gated"]) == (True, late, True)
    assert [each["due"] for each in told["settle"]["limits"]] == ["due_1", "due_4"]
    entries = [each["entries"][0]["key"] for each in told["settle"]["limits"]]
    assert entries == ["default/route/rule/0", "default/route/rule/3"]


def test_a_prompt_that_is_paid_is_not_charged_again() -> None:
    """What is due knows of what was paid."""
    told = context(admission={"mode": "PrepaidPrompt"})
    assert [each.get("paid") for each in told["settle"]["limits"]] == ["paid_1", None]
    assert [each.get("due") for each in told["prepay"]["limits"]] == ["due_1", None, None]


def test_without_token_limits_nothing_is_charged() -> None:
    """There is no call."""
    told = made(route(rule(limit(5, "Request"))))["EnvoyExtensionPolicy"]["wasm"][0]["config"]["contexts"][0]["context"]
    assert "settle" not in told


def test_what_the_filter_has_no_name_or_no_match_for() -> None:
    """Errors, where a plain Envoy has none; and nobody minds it of limits that answers do not charge."""
    nowhere = route(rule(limit(9)))
    del nowhere["metadata"]["namespace"]
    ((code, record),) = findings(nowhere, target=ON_WASM)
    assert (code, record.hint) == ("LR063", "add metadata.namespace")
    assert "calls its counters by the namespace" in record.message
    pattern = route(rule(limit(9), headers=[header("x-tier", "RegularExpression", "a+")]))
    ((code, record),) = findings(pattern, target=ON_WASM)
    assert (code, record.hint) == ("LR063", "use Exact or Distinct, or --engine lua")
    for target in (ENVOY, COMPOSE):
        assert "LR063" not in {code for code, _ in findings(pattern, target=capabilities(target, engine=WASM))}
    for document in (nowhere, pattern):
        document["spec"]["backends"][0]["trafficPolicy"]["rateLimit"]["rules"][0]["limits"] = [limit(9, "Request")]
        assert "LR063" not in {code for code, _ in findings(document, target=ON_WASM)}


def test_the_module_is_the_one_of_the_package() -> None:
    """Of the filter and of its gate, which is told that it is one."""
    first, second = made(POLICY)["EnvoyExtensionPolicy"]["wasm"]
    assert (first["name"], second["name"], second["config"]) == ("llmroute", "llmroute-gate", {"gate": True})
    source = {"type": "HTTP", "http": {"url": FILE, "sha256": sha256(filter_module()).hexdigest()}}
    for each in (first, second):
        assert (each["code"], each["failOpen"]) == (source, False)


def test_an_image() -> None:
    """What Envoy Gateway checks is the manifest's digest."""
    images = [each["code"]["image"] for each in made(POLICY, url=IMAGE)["EnvoyExtensionPolicy"]["wasm"]]
    assert images == [{"url": "registry.example/llmroute:1", "sha256": module_image().digest}] * 2


def test_the_layout_is_what_it_says() -> None:
    """Every descriptor has the size and digest of its blob; the layer is a gzipped tar with plugin.wasm alone."""
    image = module_image()
    files = dict(image.files)
    assert json.loads(files.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(files.pop("index.json"))
    blobs = {name.removeprefix("blobs/sha256/"): content for name, content in files.items()}
    assert all(sha256(content).hexdigest() == name for name, content in blobs.items())
    (named,) = index["manifests"]
    assert named["annotations"] == {"org.opencontainers.image.ref.name": "filter"}

    def blob(descriptor: dict[str, Any], kind: str) -> bytes:
        content = blobs.pop(descriptor["digest"].removeprefix("sha256:"))
        assert (descriptor["size"], descriptor["mediaType"]) == (len(content), f"application/vnd.oci.image.{kind}")
        return content

    manifest = json.loads(blob(named, "manifest.v1+json"))
    assert named["digest"] == f"sha256:{image.digest}"
    config = json.loads(blob(manifest["config"], "config.v1+json"))
    (described,) = manifest["layers"]
    layer = gzip.decompress(blob(described, "layer.v1.tar+gzip"))
    assert config["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]}
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        (entry,) = archive.getmembers()
        file = archive.extractfile(entry)
        assert file
        assert (entry.name, file.read()) == ("plugin.wasm", filter_module())
    assert not blobs

"""``--engine``: what it changes in a bootstrap."""

from __future__ import annotations

import base64
import json
from typing import Any

import yaml

from llmroute.emit import EnvoyOptions
from llmroute.emit.envoy_static import envoy_static
from llmroute.pipeline import compile_policies
from llmroute.render.wasm import filter_module
from llmroute.targets import ENVOY, LUA, WASM, capabilities
from tests.policies import limit, read_context, route, rule, text, with_spec
from tests.unit.test_check import backend

POLICY = with_spec(route(one=[rule(limit(9))], two=[rule(limit(8))]), admission={"settle": "Sync"})
DOCUMENTS = (POLICY, backend("one"), backend("two"))


def bootstrap(engine: str) -> tuple[str, dict[str, Any]]:
    """The bootstrap, as text and read; with everything that asks the filter."""
    made = compile_policies([("policy.yaml", text(*DOCUMENTS))], capabilities(ENVOY))
    options = EnvoyOptions(engine=engine, access_log="/dev/stdout", usage_counters=True)
    written = envoy_static(made.plan, options).text
    (listener,) = yaml.safe_load(written)["static_resources"]["listeners"]
    manager: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return written, manager


def test_every_route_finds_its_context() -> None:
    """Envoy's wasm filter is told nothing per route, so a route without a context would have no limit's headers."""
    _, manager = bootstrap(WASM)
    plugin = manager["http_filters"][0]["typed_config"]["config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    named = {each["name"] for each in host["routes"]}
    (context,) = json.loads(plugin["configuration"]["value"])["contexts"]
    assert named <= set(context["routes"])
    assert len(named) >= 2
    _, by_lua = bootstrap(LUA)
    configs = [each["typed_per_filter_config"] for each in by_lua["route_config"]["virtual_hosts"][0]["routes"]]
    assert all(read_context(each["envoy.filters.http.lua"]["filter_context"]) == context["context"] for each in configs)


def test_nothing_asks_the_other_engine() -> None:
    """Metadata that nobody writes would charge nothing, and so would filter state."""
    by_wasm, manager = bootstrap(WASM)
    by_lua, _ = bootstrap(LUA)
    assert "DYNAMIC_METADATA(llmroute" not in by_wasm
    assert "filters.http.lua" not in by_wasm
    assert "FILTER_STATE(wasm." not in by_lua
    assert by_wasm.count("FILTER_STATE(wasm.") == by_lua.count("DYNAMIC_METADATA(llmroute")
    code = manager["http_filters"][0]["typed_config"]["config"]["vm_config"]["code"]["local"]["inline_bytes"]
    assert base64.b64decode(code) == filter_module()


def test_the_module_is_small() -> None:
    """Each worker compiles it."""
    assert filter_module()[:4] == b"\0asm"
    assert len(filter_module()) < 65_536

"""Envoys with other filters than ours, made of the bootstrap that has it: what else differs would be measured as well."""

from __future__ import annotations

from typing import Any, Final

import yaml

from llmroute import names
from llmroute.emit.envoy_engine import LUA_FILTER
from llmroute.emit.envoy_rate_limits import chain
from llmroute.emit.envoy_types import RATELIMIT
from llmroute.plan import Plan
from llmroute.render.yaml import dump
from tools.bench.envoy import NAIVE

_EXTENSIONS: Final = "type.googleapis.com/envoy.extensions"
_NAMESPACE: Final = "native"


def plain(bootstrap: str) -> str:
    """It only proxies."""
    return _edited(bootstrap, [], None)


def ratelimit_alone(plan: Plan, bootstrap: str) -> str:
    """It checks and charges, but reads no body: every answer is charged 1."""
    return _edited(bootstrap, [], _rate_limits(plan, {"number": 1}))


def native(plan: Plan, bootstrap: str) -> str:
    """Envoy's own filters read the model from the request and the tokens from the answer.

    ``sse_to_metadata`` reads the usage of a stream that reports it. None of them asks for one that does.
    """
    charge = {"format": f"%DYNAMIC_METADATA({_NAMESPACE}:total_tokens)%"}
    return _edited(bootstrap, [_json_to_metadata(), _sse_to_metadata()], _rate_limits(plan, charge))


def naive(bootstrap: str) -> str:
    """A Lua filter of a few lines in the place of ours: whole bodies, one match each."""
    document: dict[str, Any] = yaml.safe_load(bootstrap)
    (lua,) = [each for each in _manager(document)["http_filters"] if each["name"] == LUA_FILTER]
    lua["typed_config"]["default_source_code"] = {"inline_string": NAIVE.read_text("utf-8")}
    return dump(document)


def _manager(document: dict[str, Any]) -> dict[str, Any]:
    (listener,) = document["static_resources"]["listeners"]
    manager: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def _edited(bootstrap: str, readers: list[dict[str, Any]], limits: list[dict[str, Any]] | None) -> str:
    """``readers`` in the place of the Lua; ``limits`` in the place of the route's, None for no rate limit filter."""
    document: dict[str, Any] = yaml.safe_load(bootstrap)
    manager = _manager(document)
    kept = [
        each for each in manager["http_filters"] if each["name"] != LUA_FILTER and (limits or each["name"] != RATELIMIT)
    ]
    manager["http_filters"] = [*readers, *kept]
    for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
        config = route["typed_per_filter_config"]
        del config[LUA_FILTER]
        if limits:
            config[RATELIMIT]["rate_limits"] = limits
        else:
            del config[RATELIMIT]
    return dump(document)


def _rate_limits(plan: Plan, charge: dict[str, Any]) -> list[dict[str, Any]]:
    """The same descriptors as the policy's, so that one service has them all: a check and a charge for each limit."""
    (route,) = plan.routes
    made: list[dict[str, Any]] = []
    for _, limit in route.limits():
        actions = [_action(key, value) for key, value in chain(limit)]
        made.append({"actions": actions, "hits_addend": {"number": 0}})
        made.append({"actions": actions, "hits_addend": charge, "apply_on_stream_done": True})
    return made


def _action(key: str, value: str | None) -> dict[str, Any]:
    if value is not None:
        return {"generic_key": {"descriptor_key": key, "descriptor_value": value}}
    if key != names.MODEL_HEADER:
        return {"request_headers": {"header_name": key, "descriptor_key": key}}
    path = {"key": _NAMESPACE, "path": [{"key": "model"}]}
    return {
        "metadata": {
            "descriptor_key": key,
            "metadata_key": path,
            "source": "DYNAMIC",
            "default_value": names.UNKNOWN,
        }
    }


def _json_to_metadata() -> dict[str, Any]:
    config = {
        "@type": f"{_EXTENSIONS}.filters.http.json_to_metadata.v3.JsonToMetadata",
        "request_rules": {"rules": [_rule(["model"], "model", "STRING", names.UNKNOWN)]},
        "response_rules": {"rules": [_rule(["usage", "total_tokens"], "total_tokens", "NUMBER", 0)]},
    }
    return {"name": "envoy.filters.http.json_to_metadata", "typed_config": config}


def _sse_to_metadata() -> dict[str, Any]:
    selectors = [{"key": "usage"}, {"key": "total_tokens"}]
    present = {"metadata_namespace": _NAMESPACE, "key": "total_tokens", "type": "NUMBER"}
    parser = {
        "@type": f"{_EXTENSIONS}.content_parsers.json.v3.JsonContentParser",
        "rules": [{"rule": {"selectors": selectors, "on_present": present}}],
    }
    rules = {"content_parser": {"name": "envoy.content_parsers.json", "typed_config": parser}}
    config = {"@type": f"{_EXTENSIONS}.filters.http.sse_to_metadata.v3.SseToMetadata", "response_rules": rules}
    return {"name": "envoy.filters.http.sse_to_metadata", "typed_config": config}


def _rule(path: list[str], key: str, kind: str, otherwise: str | int) -> dict[str, Any]:
    place = {"metadata_namespace": _NAMESPACE, "key": key}
    return {
        "selectors": [{"key": step} for step in path],
        "on_present": {**place, "type": kind},
        "on_missing": {**place, "value": otherwise},
        "on_error": {**place, "value": otherwise},
    }

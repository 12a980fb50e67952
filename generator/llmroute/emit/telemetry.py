"""What a proxy tells of each request: one line of JSON, and on a plain Envoy counters of usage.

Names are those of OpenTelemetry's conventions for HTTP, users and generative AI, where they have one. Nothing of
a body or of a query is told. The counters have no label that a client can fill: each new value would be kept for
ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmroute import names
from llmroute.emit.said import said, state
from llmroute.render.yaml import Comment
from llmroute.targets import LUA, WASM

_LOGGERS: Final = "type.googleapis.com/envoy.extensions.access_loggers"
_STATS: Final = "envoy.access_loggers.stats"
_USER: Final = "user.id"

_DECISION: Final = (
    "response.code_details == 'via_upstream' ? 'admitted'"
    " : response.code_details == 'request_rate_limited' ? 'refused'"
    " : response.code_details in ['lua_response', 'wasm_response'] && response.code == 429 ? 'refused'"
    " : response.code_details == 'rate_limiter_error' ? 'unavailable'"
    " : response.code in [401, 403, 404] ? 'rejected' : 'admitted'"
)
"""``refused`` by a limit; ``unavailable``: the rate limit service was away; ``rejected`` by the proxy itself: nobody's
request, or for no backend; else ``admitted``, whatever came of it."""
_ANSWER: Final = (
    "response.code >= 200 && response.code < 300 && !(request.method in ['GET', 'HEAD', 'OPTIONS', 'CONNECT'])"
)
"""Of a request whose answer is metered."""
_NEAR: Final = (
    "response.code != 429 && int(response.headers['x-ratelimit-remaining-tokens']) * 5"
    " <= int(response.headers['x-ratelimit-limit-tokens'])"
)
"""Of a request that was admitted when four fifths of its tightest token limit were used, or more."""


def _of_answer(what: str) -> str:
    return f"%RESP(x-ratelimit-{what}-tokens?x-ratelimit-{what}-requests)%"


_USAGE: Final[Mapping[str, str]] = {
    "gen_ai.request.model": names.MODEL,
    "gen_ai.usage.input_tokens": names.PROMPT_TOKENS,
    "gen_ai.usage.output_tokens": names.COMPLETION_TOKENS,
    "gen_ai.usage.cache_read.input_tokens": names.CACHED_TOKENS,
    "gen_ai.usage.cache_creation.input_tokens": names.CACHE_WRITE_TOKENS,
    "gen_ai.usage.reasoning.output_tokens": names.REASONING_TOKENS,
    "llmroute.usage.total_tokens": names.TOTAL_TOKENS,
    "llmroute.usage.source": names.USAGE_SOURCE,
    "llmroute.filter.errors": names.FILTER_ERROR,
}
"""What our filter says."""
_FIELDS: Final[Mapping[str, str]] = {
    "llmroute.decision": f"%CEL({_DECISION})%",
    "llmroute.limit.kind": (
        "%CEL('x-ratelimit-limit-tokens' in response.headers ? 'tokens'"
        " : 'x-ratelimit-limit-requests' in response.headers ? 'requests' : 'none')%"
    ),
    "llmroute.limit.quantity": _of_answer("limit"),
    "llmroute.limit.remaining": _of_answer("remaining"),
    "llmroute.limit.reset_seconds": _of_answer("reset"),
    "llmroute.route": "%ROUTE_NAME%",
    "llmroute.details": "%RESPONSE_CODE_DETAILS%",
    "llmroute.duration_ms": "%DURATION%",
    "http.request.method": "%REQ(:METHOD)%",
    "http.request.header.x-request-id": "%REQ(X-REQUEST-ID)%",
    "http.response.status_code": "%RESPONSE_CODE%",
    "url.path": "%PATH(NQ)%",
}


def fields(user_headers: Iterable[str] = (names.USER_HEADER,), engine: str = LUA) -> dict[str, str]:
    """The line: name to Envoy's command operator. Of several headers that hold users each has a name of its own."""
    headers = list(dict.fromkeys(user_headers))
    users = {_USER: headers[0]} if len(headers) == 1 else {f"http.request.header.{name}": name for name in headers}
    asked = {name: f"%REQ({header})%" for name, header in users.items()}
    usage = {name: said(engine, key) for name, key in _USAGE.items()}
    return {"time": "%START_TIME%", **asked, **usage, **_FIELDS}


def access_log(path: str, user_headers: Iterable[str] = (names.USER_HEADER,), engine: str = LUA) -> dict[str, Any]:
    """The access logger of a plain Envoy; ``path`` is a file of its machine."""
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{_LOGGERS}.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": fields(user_headers, engine)},
        },
    }


def usage_counters(engine: str = LUA) -> list[dict[str, Any]]:
    """The access loggers that count: all requests, those near a limit, faults of the filter, and metered answers.

    Prometheus sees ``envoy_llmroute_requests``, ``…_near_limit``, ``…_filter_errors``, ``…_answers`` and ``…_tokens``.
    """
    source = ("llmroute_usage_source", said(engine, names.USAGE_SOURCE))
    answers = [
        _counter("answers", source),
        _counter("tokens", ("llmroute_token_type", "input"), value=said(engine, names.PROMPT_TOKENS)),
        _counter("tokens", ("llmroute_token_type", "output"), value=said(engine, names.COMPLETION_TOKENS)),
    ]
    return [
        _stats(_counter("requests", ("llmroute_decision", f"%CEL({_DECISION})%"))),
        {"filter": _where(_NEAR)} | _stats(_counter("near_limit")),
        {"filter": _failed(engine)} | _stats(_counter("filter_errors", value=said(engine, names.FILTER_ERROR))),
        {"filter": _where(_ANSWER)} | _stats(*answers),
    ]


def _failed(engine: str) -> dict[str, Any]:
    """Requests in which something has failed in the filter."""
    if engine == WASM:
        return _where(f"'{state(names.FILTER_ERROR)}' in filter_state")
    faults = {
        "filter": names.METADATA_NAMESPACE,
        "path": [{"key": names.FILTER_ERROR}],
        "value": {"present_match": True},
    }
    return {"metadata_filter": {"matcher": faults, "match_if_key_not_found": False}}


def _where(expression: str) -> dict[str, Any]:
    """Requests for which an expression holds; not those for which it cannot be told."""
    config = {"@type": f"{_LOGGERS}.filters.cel.v3.ExpressionFilter", "expression": expression}
    return {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": config}}


def _stats(*counters: dict[str, Any]) -> dict[str, Any]:
    config = {"@type": f"{_LOGGERS}.stats.v3.Config", "stats_scope": {"prefix": "llmroute"}, "counters": [*counters]}
    return {"name": _STATS, "typed_config": Comment("Envoy calls this extension work in progress.", config)}


def _counter(name: str, *labels: tuple[str, str], value: str = "") -> dict[str, Any]:
    tags = [{"name": label, "value_format": text} for label, text in (("llmroute_route", "%ROUTE_NAME%"), *labels)]
    return {"stat": {"name": name, "tags": tags}} | ({"value_format": value} if value else {"value_fixed": 1})


def envoy_proxy() -> dict[str, Any]:
    """An EnvoyProxy of Envoy Gateway that has the same line written to standard output."""
    line = {"type": "JSON", "json": fields()}
    setting = {"type": "Route", "format": line, "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}]}
    return {
        "apiVersion": f"{names.ENVOY_GATEWAY_API}/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": "llmroute-telemetry"},
        "spec": {"telemetry": {"accessLog": {"settings": [setting]}}},
    }

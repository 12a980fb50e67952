"""What the filter costs in a real Envoy: CPU seconds of the process for each request, beside plain proxying."""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from llmroute.local.envoy import EnvoyProcess
from llmroute.render.lua import filter_source
from llmroute.render.yaml import dump
from tools.bench.filter import Row
from tools.proc import cpu_seconds
from tools.spread import spread

NAIVE: Final = Path(__file__).parent / "naive_filter.lua"
"""The least that a Lua filter can do."""
CONNECTIONS: Final = 16
_HTTP: Final = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_LUA: Final = "type.googleapis.com/envoy.extensions.filters.http.lua.v3"
_BUFFER: Final = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer"
_ROUTER: Final = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_TOLD: Final[Mapping[str, Any]] = {
    "version": 1,
    "modelHeader": "x-ai-gateway-llm-model-name",
    "defaults": {"x-user-id": "anonymous"},
    "limits": [],
    "usage": {"onMissing": "Estimate", "fixedTokens": 0, "onDisconnect": "Charge", "includeUsage": "Force"},
    "bodyLimit": 4194304,
}
_CONTEXT: Final[Mapping[str, str]] = {"route": json.dumps(_TOLD)}

# What each step of a filter costs beside an empty one, which both entry points of every script pay for.
STEPS: Final[Mapping[str, str]] = {
    "an empty filter": "",
    "the request body": "local b = handle:body() if b then local s = b:getBytes(0, b:length()) end",
    "six headers": "local h = handle:headers() for i = 1, 6 do h:get(':path') end",
    "one header replaced": "local h = handle:headers() h:remove('x-model') h:add('x-model', 'gpt')",
    "one metadata value": "handle:streamInfo():dynamicMetadata():set('llmroute', 'a', 1)",
    "ten metadata values": "local d = handle:streamInfo():dynamicMetadata()"
    " for i = 1, 10 do d:set('llmroute', 'total_tokens', i) end",
    "metadata read": "handle:streamInfo():dynamicMetadata():get('llmroute')",
    "the context, four times": "for i = 1, 4 do handle:filterContext():get('route') end",
}
CHUNKS: Final = """
function envoy_on_response(handle)
  local next_chunk = handle:bodyChunks()
  local chunk = next_chunk()
  while chunk do
    local s = chunk:length() > 0 and chunk:getBytes(0, chunk:length())
    chunk = next_chunk()
  end
end
"""


def ratio_rows(rounds: int, requests: int) -> Iterator[Row]:
    """Plain proxying, our filter, the naive one: microseconds of CPU for a request, then the ratios."""
    scripts = {"plain": None, "ours": filter_source(), "naive": NAIVE.read_text("utf-8")}
    costs = measure(scripts, rounds, requests)
    plain, ours, naive = (costs[name] for name in scripts)
    yield Row("Envoy, a request, plain proxying", "us", spread(plain))
    yield Row("Envoy, a request, with a filter", "us", spread(ours), spread(naive))
    yield Row(
        "Envoy, the same to plain proxying",
        "x",
        spread([one / other for one, other in zip(ours, plain, strict=True)]),
        spread([one / other for one, other in zip(naive, plain, strict=True)]),
        1.25,
    )


def step_rows(rounds: int, requests: int) -> Iterator[Row]:
    """What single calls of Envoy's Lua cost, beyond an empty filter."""
    scripts = {
        name: f"function envoy_on_request(handle) {code} end\nfunction envoy_on_response(handle) end"
        for name, code in STEPS.items()
    }
    scripts["the answer, piece by piece"] = CHUNKS
    costs = measure({"plain": None, **scripts}, rounds, requests)
    for name in scripts:
        base = costs["plain" if name == "an empty filter" else "an empty filter"]
        yield Row(f"Envoy: {name}", "us", spread([a - b for a, b in zip(costs[name], base, strict=True)]))


def measure(scripts: Mapping[str, str | None], rounds: int, requests: int) -> dict[str, list[float]]:
    """Microseconds of CPU for a request through each script, by turns in one Envoy."""
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"' + b"Why is the sky blue? " * 46
    body = body[: 1024 - 4] + b'"}]}'
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\naccept-encoding: gzip\r\n"
    )
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    costs: dict[str, list[float]] = {name: [] for name in scripts}
    with ExitStack() as stack:
        upstream = stack.enter_context(EnvoyProcess(_upstream(), concurrency=1))
        address = upstream.listener_address("upstream")
        measured = stack.enter_context(EnvoyProcess(_measured(scripts, address), concurrency=1))
        clients = {
            name: stack.enter_context(_clients(measured.listener_address(f"l{n}"))) for n, name in enumerate(scripts)
        }
        for turn in range(rounds + 1):
            for name in scripts:
                before = cpu_seconds(measured.pid)
                _drive(clients[name], request, requests)
                if turn:  # the first one warms up
                    costs[name].append((cpu_seconds(measured.pid) - before) * 1e6 / requests)
    return costs


@contextmanager
def _clients(address: tuple[str, int]) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(address)) for _ in range(CONNECTIONS)]


def _drive(clients: list[socket.socket], request: bytes, count: int) -> None:
    """Sends ``count`` requests, one at a time on each connection, and reads every answer whole."""
    sent, pending = 0, dict.fromkeys(clients, b"")
    by_number = {client.fileno(): client for client in clients}
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
            client.sendall(request)
            sent += 1
        while pending:
            for key, _ in selector.select():
                client = by_number[key.fd]
                got = pending[client] = pending[client] + client.recv(65536)
                head, blank, rest = got.partition(b"\r\n\r\n")
                if not blank or len(rest) < 1024:
                    continue
                if not head.startswith(b"HTTP/1.1 200") or len(rest) != 1024:
                    raise RuntimeError(f"an answer that is none of ours: {head!r}")
                if sent < count:
                    pending[client] = b""
                    client.sendall(request)
                    sent += 1
                else:
                    selector.unregister(client)
                    del pending[client]


def _upstream() -> str:
    """An Envoy that answers a chat completion of 1 KiB by itself."""
    start = (
        '{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"'
    )
    end = '"}}],"usage":{"prompt_tokens":9,"completion_tokens":240,"total_tokens":249}}'
    body = start + "Because of the way light scatters. " * 30
    body = body[: 1024 - len(end)] + end
    route = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": body}},
        "response_headers_to_add": [
            {
                "header": {"key": "content-type", "value": "application/json"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }
    # An answer from before the end of its request would cost the measured Envoy a new connection each time.
    buffer = {"name": "envoy.filters.http.buffer", "typed_config": {"@type": _BUFFER, "max_request_bytes": 65536}}
    return _bootstrap([_listener("upstream", route, [buffer])], [])


def _measured(scripts: Mapping[str, str | None], address: tuple[str, int]) -> str:
    """One Envoy with a listener for each script."""
    endpoint = {"endpoint": {"address": _address(*address)}}
    cluster = {
        "name": "upstream",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "upstream"},
        "typed_per_filter_config": {
            "envoy.filters.http.lua": {"@type": f"{_LUA}.LuaPerRoute", "filter_context": dict(_CONTEXT)}
        },
    }
    plain = {name: value for name, value in route.items() if name != "typed_per_filter_config"}
    listeners = [
        _listener(f"l{n}", route if code else plain, [_lua(code)] if code else [])
        for n, code in enumerate(scripts.values())
    ]
    return _bootstrap(listeners, [cluster])


def _bootstrap(listeners: list[dict[str, Any]], clusters: list[dict[str, Any]]) -> str:
    admin = {"address": _address("127.0.0.1", 0)}
    return dump({"admin": admin, "static_resources": {"listeners": listeners, "clusters": clusters}})


def _lua(code: str) -> dict[str, Any]:
    lua = {"@type": f"{_LUA}.Lua", "default_source_code": {"inline_string": code}}
    return {"name": "envoy.filters.http.lua", "typed_config": lua}


def _listener(name: str, route: dict[str, Any], filters: list[dict[str, Any]]) -> dict[str, Any]:
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}
    manager = {
        "@type": _HTTP,
        "stat_prefix": name,
        "route_config": {"name": name, "virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]},
        "http_filters": [*filters, router],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": name, "address": _address("127.0.0.1", 0), "filter_chains": [chain]}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}

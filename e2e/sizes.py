"""What limits ask of Redis: ``python -m e2e.sizes``. Memory of a counter, and commands and calls for a request.

With the real rate limit service and a Valkey behind a plain Envoy. Counters are as they are for users whose ids are
UUIDs, 36 characters long.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

import httpx
import redis

from e2e.stacks.tools import tool
from llmroute.conformance.policies import USERS, limit, route, rule, text, with_spec
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.explain.counters import counters
from llmroute.limiter import window
from llmroute.local import services
from llmroute.local.gateway import Gateway, serve
from llmroute.local.settled import settle
from llmroute.local.valkey import ValkeyProcess
from llmroute.names import USER_HEADER
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint
from llmroute.targets import ENVOY, ENVOY_GATEWAY, capabilities

USERS_COUNTED: Final = 200_000
REQUESTS: Final = 200
_MUCH: Final = 100_000_000
"""No request here is refused."""
_ONE, _TWO = limit(_MUCH, unit="Day"), limit(_MUCH, unit="Hour")
POLICIES: Final[Mapping[str, Any]] = {
    "one limit": route(rule(_ONE, headers=USERS), name="chat"),
    "two limits": route(rule(_ONE, _TWO, headers=USERS), name="chat"),
    "one limit, settle: Sync": with_spec(route(rule(_ONE, headers=USERS), name="chat"), admission={"settle": "Sync"}),
    "one limit, PrepaidPrompt": with_spec(
        route(rule(_ONE, headers=USERS), name="chat"), admission={"mode": "PrepaidPrompt"}
    ),
}


def client_of(valkey: ValkeyProcess) -> redis.Redis:
    """A client of it."""
    host, _, port = valkey.address.rpartition(":")
    return redis.Redis(host, int(port))


def bytes_of_a_counter(target: str) -> tuple[float, float]:
    """Length of a key and memory of a counter with it, in bytes: the mean over many users."""
    compiled = compile_policies([("policy.yaml", text(POLICIES["one limit"]))], capabilities(target))
    (counter,) = counters(compiled.plan.routes[0], capabilities(target))
    start = window.window_start(window.Unit.DAY, time.time())
    keys = [counter.key({USER_HEADER: str(uuid.uuid4())}, start) for _ in range(USERS_COUNTED)]
    with ValkeyProcess() as valkey, client_of(valkey) as client:
        before = client.info("memory")["used_memory"]
        with client.pipeline(transaction=False) as calls:
            for n, key in enumerate(keys, 1):
                calls.incrby(key, 12_345)
                calls.expire(key, 86_400)
                if n % 5_000 == 0:
                    calls.execute()
            calls.execute()
        used = client.info("memory")["used_memory"] - before
    return sum(map(len, keys)) / USERS_COUNTED, used / USERS_COUNTED


def for_a_request(policy: Any) -> tuple[float, float]:
    """Calls of the rate limit service, and commands that it gives to Redis, for one admitted request."""
    with ValkeyProcess() as valkey, client_of(valkey) as client, ScriptedUpstream() as upstream:
        to: dict[str | None, Endpoint] = {None: Endpoint("127.0.0.1", upstream.port)}
        plan = compile_policies([("policy.yaml", text(policy))], capabilities(ENVOY), stand_ins=to).plan
        with serve(plan, services.process(valkey.address, str(tool("ratelimit")))) as gateway:
            _drive(gateway, 5)
            before = _seen(gateway, client)
            _drive(gateway, REQUESTS)
            after = _seen(gateway, client)
    calls, commands = ((new - old) / REQUESTS for old, new in zip(before, after, strict=True))
    return calls, commands


def _drive(gateway: Gateway, requests: int) -> None:
    body, headers = {"model": "m", "messages": []}, {USER_HEADER: "alice"}
    with httpx.Client(trust_env=False) as client:
        for _ in range(requests):
            client.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers).raise_for_status()


def _seen(gateway: Gateway, client: redis.Redis) -> tuple[int, int]:
    """Calls and commands until now, once all that is under way has landed."""
    settle(gateway.envoy)
    stats = httpx.get(f"{gateway.envoy.admin_url}/stats?filter=ratelimit.*upstream_rq_total$", trust_env=False).text
    counted = client.info("commandstats")
    commands = sum(counted.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("incrby", "expire"))
    return sum(int(line.rpartition(" ")[2]) for line in stats.splitlines()), commands


def main() -> None:
    """Print both tables."""
    for target in (ENVOY, ENVOY_GATEWAY):
        length, memory = bytes_of_a_counter(target)
        sys.stdout.write(f"{target}: a key of {length:.0f} bytes, {memory:.0f} bytes of memory for a counter\n")
    for name, policy in POLICIES.items():
        calls, commands = for_a_request(policy)
        sys.stdout.write(f"{name}: {calls:.1f} calls, {commands:.1f} commands for a request\n")


if __name__ == "__main__":
    main()

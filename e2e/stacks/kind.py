"""The ``kind`` stack: Envoy Gateway by its Helm chart on a Kind cluster, with ratelimit, Redis and the fake OpenAI.

The generated files go in by kubectl as they are. Everything is reached by port-forward.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import redis
import yaml

from e2e.stacks.gateway_limits import GatewayLimit, limits_of
from e2e.stacks.in_force import missing
from e2e.stacks.kind_cluster import REDIS, SYSTEM, KindCluster
from e2e.stacks.kind_documents import (
    BACKEND,
    BACKEND_PORT,
    HTTP,
    Document,
    gateways_of,
    in_namespace,
    supplements,
    unmet,
)
from e2e.stacks.kubectl import ClusterError, Forwards, wait_until
from e2e.stacks.remote_upstream import RemoteUpstream
from llmroute import names
from llmroute.conformance.windows import window_start
from llmroute.diagnostic import has_errors
from llmroute.local.ports import http_get
from llmroute.lower import DEFAULT_NAMESPACE
from llmroute.pipeline import compile_policies
from llmroute.targets import ENVOY_GATEWAY, LUA, WASM, capabilities

_LOOPBACK: Final = "127.0.0.1"
_WITHIN: Final = 60.0
"""Seconds until a policy is in force; a new Gateway's Envoy starts meanwhile."""
_LISTENER: Final = 10080
"""Where Envoy listens for a Gateway's port 80."""
_ADMIN: Final = 19000
_RLCONFIG: Final = 6070
_ENDURING: Final = ("GatewayClass", "Gateway", "ServiceAccount", "Service", "Deployment")
"""Kinds of the original manifest that stay when the policy goes: the stack needs them itself."""
_ON_A_HOST: Final = "the patch of the ratelimit cluster's address"
"""What ``in_force`` finds missing where ratelimit is not on this machine."""
_LOG_LINES: Final = "--tail=40"
_OWNER: Final = f"{names.ENVOY_GATEWAY_API}/owning-gateway"


PARTS: Final = {
    "envoy": (SYSTEM, f"{_OWNER}-name={{gateway}},{_OWNER}-namespace={{namespace}}"),
    "envoy-gateway": (SYSTEM, "control-plane=envoy-gateway"),
    "ratelimit": (SYSTEM, "app.kubernetes.io/name=envoy-ratelimit"),
    "redis": (REDIS, "app=redis"),
}
"""Namespace and label selector of the pods, and the Deployment, of each part."""


class KindStack:
    """One policy at a time, on a cluster that lives as long as the stack (or longer: ``kind_cluster.KEEP``)."""

    def __init__(self) -> None:
        self.cluster = KindCluster()
        self.forwards = Forwards(self.cluster.kubectl)
        self._stack = contextlib.ExitStack()
        # With the port of the forward that they go by: it is another one when their pod was another.
        self._redis: tuple[int, redis.Redis] | None = None
        self._upstream: tuple[int, RemoteUpstream] | None = None
        self.module_url: str | None = None
        """Where Envoy Gateway gets the filter's module, if it is to be one; from the next policy on."""
        self._policy: tuple[str, str | None] | None = None
        self._applied: Sequence[Document] = ()
        self._limits: Sequence[GatewayLimit] = ()
        self._gateway = ""
        self._namespace = DEFAULT_NAMESPACE

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            exits.enter_context(self.cluster)
            exits.callback(self.disconnect)
            exits.callback(self.withdraw)
            self.withdraw()
            self._stack = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def engine(self) -> str:
        """What the filter of the next policy runs on."""
        return WASM if self.module_url else LUA

    @property
    def upstream(self) -> RemoteUpstream:
        """The fake OpenAI in the cluster."""
        port = self.forwards.port(DEFAULT_NAMESPACE, f"svc/{BACKEND}", BACKEND_PORT)
        if self._upstream is None or self._upstream[0] != port:
            self._upstream = port, RemoteUpstream(f"http://{_LOOPBACK}:{port}")
        return self._upstream[1]

    @property
    def redis_client(self) -> Any:
        """A client of the Redis in the cluster: Any, as its commands are typed for the asynchronous client, too."""
        port = self.forwards.port(REDIS, "svc/redis", 6379)
        if self._redis is None or self._redis[0] != port:
            self._redis = port, redis.Redis(_LOOPBACK, port, socket_timeout=_WITHIN)
        return self._redis[1]

    def disconnect(self) -> None:
        """End every connection; the next use makes another. One whose pod was replaced would find that out too late."""
        for connected in (self._upstream, self._redis):
            if connected is not None:
                connected[1].close()
        self._upstream = self._redis = None
        self.forwards.close()

    @property
    def url(self) -> str:
        """A port-forward to the Service of the Gateway's Envoy, as in the original document."""
        return f"http://{_LOOPBACK}:{self._port(HTTP)}"

    def _port(self, port: int) -> int:
        _, selector = self._selector("envoy")
        kind = "svc" if port == HTTP else "deploy"
        (found,) = self.cluster.kubectl.get(kind, "-n", SYSTEM, "-l", selector)["items"]
        return self.forwards.port(SYSTEM, f"{kind}/{found['metadata']['name']}", port)

    def apply(self, policy: str) -> None:
        """Replace the policy before by this one, unless it is in force already; empty the counters.

        Raises:
            ClusterError: it does not come in force in time; says what is missing.
        """
        if (policy, self.module_url) != self._policy:
            self.withdraw()
            self.update(policy)
        self.reset()

    def update(self, policy: str) -> None:
        """Apply a policy over the one that is in force; counters stay.

        Raises:
            ClusterError: it does not come in force in time; says what is missing.
        """
        target = capabilities(ENVOY_GATEWAY, engine=self.engine, module_url=self.module_url)
        compiled = compile_policies([("policy.yaml", policy)], target)
        assert not has_errors(compiled.diagnostics), [str(d) for d in compiled.diagnostics]
        self.put("---\n".join(artifact.text for artifact in compiled.artifacts))
        self._policy = policy, self.module_url

    def crash(self, part: str) -> None:
        """Kill the pod of a part (one of ``PARTS``), as a node that goes down would; its Deployment makes another."""
        namespace, selector = self._selector(part)
        self.cluster.kubectl(
            "delete", "pods", "-n", namespace, "-l", selector, "--grace-period=0", "--force", "--wait=true"
        )

    def wait_for_part(self, part: str) -> None:
        """Wait until the Deployment of a part has all its pods ready."""
        namespace, selector = self._selector(part)
        deployments = self.cluster.kubectl.get("deployments", "-n", namespace, "-l", selector)["items"]
        for name in (deployment["metadata"]["name"] for deployment in deployments):
            self.cluster.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, f"--timeout={_WITHIN:g}s")

    def _selector(self, part: str) -> tuple[str, str]:
        namespace, selector = PARTS[part]
        return namespace, selector.format(gateway=self._gateway, namespace=self._namespace)

    def put(self, generated: str) -> None:
        """Apply what ``llmroute generate`` wrote, as it is but for the model server's image; wait until it is in force.

        Raises:
            ClusterError: it does not come in force in time; says what is missing.
        """
        documents = _documents(generated)
        self._applied = [d for d in documents if d["kind"] not in _ENDURING]
        self.cluster.kubectl.apply(supplements(documents))
        self.cluster.apply(generated)
        self.follow(generated)

    def follow(self, generated: str) -> None:
        """Wait until what ``llmroute generate`` wrote, and somebody applied, is in force; the stack is about it then.

        Raises:
            ClusterError: it does not come in force in time; says what is missing.
        """
        documents = _documents(generated)
        self._limits = limits_of(documents)
        (self._gateway,) = gateways_of(documents)
        (self._namespace,) = {d["metadata"]["namespace"] for d in documents if d["kind"] == "HTTPRoute"}
        absent: list[str] = []

        def in_force() -> bool:
            absent[:] = self._absent(documents)
            return not absent

        wait_until(in_force, lambda: ", ".join(absent), _WITHIN)

    def reset(self) -> None:
        """Forget every count."""
        self.redis_client.flushall()

    def counters(self) -> dict[str, int]:
        """Every counter there is, by its full key."""
        return {key.decode(): int(self.redis_client.get(key)) for key in self.redis_client.scan_iter()}

    def withdraw(self) -> None:
        """Delete the policy that is in force, and what an earlier session may have left."""
        self._policy = None
        kinds = "httproutes,envoyextensionpolicies,backendtrafficpolicies,securitypolicies"
        label = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
        self.cluster.kubectl("delete", kinds, "-n", DEFAULT_NAMESPACE, "-l", label)
        self.cluster.kubectl.delete(self._applied)
        self._applied = ()

    def _absent(self, documents: Sequence[Document]) -> list[str]:
        """What is not as it must be yet: first in the statuses, then in ratelimit and in Envoy."""
        self.cluster.lend_addresses()
        if pending := self._unaccepted():
            return pending
        try:
            ratelimit = self.forwards.port(SYSTEM, "deploy/envoy-ratelimit", _RLCONFIG)
            shown = http_get((_LOOPBACK, ratelimit), "/rlconfig")[1].decode().splitlines()
            dump = json.loads(http_get((_LOOPBACK, self._port(_ADMIN)), "/config_dump")[1])
        except (OSError, ValueError) as error:
            return [f"an answer of Envoy and ratelimit ({error})"]
        unknown = [f"ratelimit's {limit.shown}" for limit in self._limits if limit.shown not in shown]
        return unknown + [m for m in missing(dump, documents, self._limits, _LISTENER) if m != _ON_A_HOST]

    def _unaccepted(self) -> list[str]:
        """Every condition of the Gateway, the routes and the policies that is not there or not true."""
        kinds = "gateways,httproutes,envoyextensionpolicies,backendtrafficpolicies,securitypolicies"
        found = self.cluster.kubectl.get(kinds, "-n", self._namespace)["items"]
        wanted = [item for item in found if item["kind"] != "Gateway" or item["metadata"]["name"] == self._gateway]
        return [text for item in wanted for text in unmet(item)]

    def used(self, limit: int, *values: str) -> int:
        """The counter by its full key, in the window of this moment."""
        found = self._limits[limit]
        return int(self.redis_client.get(found.counter(values, window_start(time.time(), found.unit))) or 0)

    def logs(self) -> str:
        """The last lines of Envoy Gateway, ratelimit and Envoy, and every condition."""
        parts = []
        for pods in ("control-plane=envoy-gateway", "app.kubernetes.io/name=envoy-ratelimit", f"{_OWNER}-name"):
            with contextlib.suppress(ClusterError):
                parts.append(self.cluster.kubectl("-n", SYSTEM, "logs", "-l", pods, "--all-containers", _LOG_LINES))
        return "\n\n".join([*self._unaccepted(), *parts])


def _documents(generated: str) -> list[Document]:
    return [in_namespace(document) for document in yaml.safe_load_all(generated) if document]

"""What a gateway needs before a run with ``--gateway``: each policy under its id, and the upstream's address."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from llmroute import names
from llmroute.conformance.adapters.by_hand import policy_id
from llmroute.conformance.applies import needs_of
from llmroute.conformance.case import Case
from llmroute.conformance.features import Admission
from llmroute.conformance.reading import read_for
from llmroute.plan import Endpoint
from llmroute.render.yaml import Comment, dump, join


def plan(cases: Iterable[Case], upstream: Endpoint, admission: Admission) -> str:
    """A YAML stream: a Backend at ``upstream`` for each name of one, and the LLMRoutes of each policy.

    A comment says the policy's id, the cases that need it, and the features that they need. LLMRoutes are named after
    the policy's id and refer to a Gateway of that name: all of them can be in force at one time.
    """
    by_policy: dict[str, list[Case]] = {}
    for case in (read_for(case, admission) for case in cases):
        by_policy.setdefault(case.policy, []).append(case)
    routes = {policy: [d for d in yaml.safe_load_all(policy) if d] for policy in by_policy}
    backends = {
        entry["backendRef"]["name"]: None for d in itertools.chain(*routes.values()) for entry in d["spec"]["backends"]
    }
    policies = (
        text for policy, group in by_policy.items() for text in _policy(policy_id(policy), routes[policy], group)
    )
    return join([*(dump(_backend(name, upstream)) for name in backends), *policies])


def _policy(called: str, documents: list[dict[str, Any]], cases: list[Case]) -> Iterator[str]:
    needs = sorted({feature for case in cases for feature in needs_of(case)})
    of = f"of the cases {', '.join(case.id for case in cases)}"
    about = "\n".join([f"Policy {called}", of, f"needs: {', '.join(needs) or 'nothing more'}"])
    for number, document in enumerate(documents):
        name = f"{called}-{document['metadata']['name']}"
        version = document["apiVersion"]
        first = {"apiVersion": version if number else Comment(about, version)}
        spec = document["spec"] | {"targetRefs": [{"name": called}]}
        yield dump({**document, **first, "metadata": document["metadata"] | {"name": name}, "spec": spec})


def _backend(name: str, upstream: Endpoint) -> dict[str, Any]:
    address = {"port": upstream.port}
    try:
        where = {"ip": {"address": str(ipaddress.ip_address(upstream.host))} | address}
    except ValueError:
        where = {"fqdn": {"hostname": upstream.host} | address}
    return {
        "apiVersion": f"{names.ENVOY_GATEWAY_API}/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"endpoints": [where]},
    }

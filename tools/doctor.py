"""Says what the current cluster lacks for the output of llmroute, in one line each.

``python tools/doctor.py [--context NAME] [--namespace envoy-gateway-system]``: exit code 0 when nothing is
missing, 1 when something is, 2 when there is no cluster to ask. A warning alone is no failure.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

_LEAST: Final = (1, 9)
_CONFIG: Final = "manifests/envoy-gateway/values.yaml"
_CRDS: Final = (
    "httproutes.gateway.networking.k8s.io",
    "backends.gateway.envoyproxy.io",
    "backendtrafficpolicies.gateway.envoyproxy.io",
    "envoyextensionpolicies.gateway.envoyproxy.io",
)
_WITHIN: Final = 30
"""Seconds for an answer of the cluster."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``text`` is one line. A warning is about what one may want; an error breaks limits or routes."""

    text: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{'warning' if self.warning else 'missing'}: {self.text}"


class NoCluster(RuntimeError):  # noqa: N818 - a state of the machine, not a mistake
    """There is no kubectl, or it reaches no cluster."""


class Cluster:
    """``kubectl get`` on a cluster. ``command`` is kubectl and what says which cluster."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def deployments(self, namespace: str, label: str) -> Sequence[Any]:
        """The deployments with a label.

        Raises:
            NoCluster: nothing answers.
        """
        found = self.get("deployments", "-n", namespace, "-l", label)
        return found["items"] if found else ()

    def get(self, *arguments: str) -> Any:
        """What there is, as JSON has it; None where nothing is.

        Raises:
            NoCluster: nothing answers.
        """
        command = [*self._command, "get", *arguments, "--ignore-not-found", "-o", "json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WITHIN)
        except FileNotFoundError as error:
            raise NoCluster(f"there is no {command[0]} on PATH") from error
        except subprocess.TimeoutExpired as error:
            raise NoCluster(f"the cluster does not answer within {_WITHIN} s") from error
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise NoCluster(said[-1] if said else f"kubectl ends with exit code {done.returncode}")
        return json.loads(done.stdout) if done.stdout.strip() else None


def examine(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    """Everything that is missing, the most fundamental first.

    Raises:
        NoCluster: nothing answers.
    """
    for crd in _CRDS:
        if cluster.get("crd", crd) is None:
            yield Finding(f"the resource {crd}: install Envoy Gateway {_dotted(_LEAST)} or newer with its CRDs")
    gateways = cluster.deployments(namespace, "control-plane=envoy-gateway")
    if not gateways:
        yield Finding(f"Envoy Gateway in namespace {namespace}: install its chart with -f {_CONFIG}")
        return
    yield from _version(gateways[0])
    yield from _available(gateways[0], "Envoy Gateway")
    yield from _configuration(cluster.get("configmap", "envoy-gateway-config", "-n", namespace))
    yield from _ratelimit(cluster.deployments(namespace, "app.kubernetes.io/name=envoy-ratelimit"))


def _version(deployment: Mapping[str, Any]) -> Iterator[Finding]:
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    found = re.search(r":v?(\d+)\.(\d+)\.(\d+)", image)
    if not found:
        yield Finding(f"the version of {image} is not known: {_dotted(_LEAST)} or newer is needed", warning=True)
        return
    version = tuple(int(part) for part in found.groups())
    if version[:2] < _LEAST:
        why = "; it loses the cost of shared limits" if version in {(1, 8, 0), (1, 8, 1)} else ""
        yield Finding(f"Envoy Gateway {_dotted(_LEAST)} or newer: this is {_dotted(version)}{why}")


def _available(deployment: Mapping[str, Any], what: str) -> Iterator[Finding]:
    conditions = {c["type"]: c["status"] for c in deployment.get("status", {}).get("conditions", [])}
    if conditions.get("Available") != "True":
        yield Finding(f"{what} is not available: kubectl -n {deployment['metadata']['namespace']} get pods")


def _configuration(configmap: Mapping[str, Any] | None) -> Iterator[Finding]:
    text = (configmap or {}).get("data", {}).get("envoy-gateway.yaml")
    if text is None:
        yield Finding("Envoy Gateway's configuration, the ConfigMap envoy-gateway-config", warning=True)
        return
    config = yaml.safe_load(text) or {}
    apis, limits = config.get("extensionApis") or {}, config.get("rateLimit") or {}
    if apis.get("enableLua") is not True:
        yield Finding(f"extensionApis.enableLua: true; without it every route answers 500 ({_CONFIG})")
    if apis.get("enableBackend") is not True:
        yield Finding(f"extensionApis.enableBackend: true; without it no Backend is routed to ({_CONFIG})")
    if not (limits.get("backend") or {}).get("redis"):
        yield Finding(f"rateLimit.backend.redis; without it nothing is limited ({_CONFIG})")
        return
    if limits.get("failClosed") is not True:
        yield Finding("rateLimit.failClosed is not true: requests pass unmetered when ratelimit fails", warning=True)
    if "timeout" not in limits:
        yield Finding("rateLimit.timeout is not set: after 20 ms ratelimit counts as failed", warning=True)


def _ratelimit(deployments: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    if not deployments:
        yield Finding("the ratelimit server, which Envoy Gateway deploys once rateLimit.backend is set")
    for deployment in deployments:
        yield from _available(deployment, "the ratelimit server")


def _dotted(version: Sequence[int]) -> str:
    return ".".join(str(part) for part in version)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings."""
    parser = argparse.ArgumentParser(prog="doctor", description="Say what a cluster lacks for the output of llmroute.")
    parser.add_argument("--context", help="of the kubeconfig; the current one by default")
    parser.add_argument("--namespace", default="envoy-gateway-system", help="Envoy Gateway's (%(default)s)")
    parser.add_argument("--kubectl", default="kubectl", help="the program (%(default)s)")
    options = parser.parse_args(arguments)
    context = ["--context", options.context] if options.context else []
    try:
        findings = list(examine(Cluster([options.kubectl, *context]), options.namespace))
    except NoCluster as error:
        print(f"doctor: {error}", file=sys.stderr)
        return 2
    for finding in findings:
        print(finding)
    if not findings:
        print("nothing is missing: this cluster can run what llmroute generates")
    return 1 if any(not finding.warning for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())

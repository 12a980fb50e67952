"""A provider on the internet, in a cluster: it has the host's name and a certificate for it, and the fake OpenAI behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from e2e.certificates import Authority
from e2e.stacks.kind_cluster import SYSTEM
from e2e.stacks.kind_documents import BACKEND, BACKEND_PORT
from e2e.stacks.kubectl import Document, Kubectl, wait_until
from llmroute import names
from llmroute.lower import DEFAULT_NAMESPACE

_NAME: Final = "provider"
_TRUSTED: Final = "ca-certificates.crt"
"""The file where an Envoy's image has the authorities of the system."""
_OWNER: Final = f"{names.ENVOY_GATEWAY_API}/owning-gateway-name={_NAME}"


class Provider:
    """A Gateway with TLS that answers to ``host`` alone: to another name it has no certificate, and no route.

    ``known_to`` makes the Envoys of another Gateway find it, where they would ask the internet.
    """

    def __init__(self, kubectl: Kubectl, host: str, folder: Path) -> None:
        self._kubectl = kubectl
        self._host = host
        authority = Authority(folder)
        pem = authority.server(host).read_text("utf-8")
        certificate, mark, key = pem.partition("-----BEGIN PRIVATE KEY")
        listener = {
            "name": "https",
            "protocol": "HTTPS",
            "port": 443,
            "hostname": host,
            "tls": {"certificateRefs": [{"name": _NAME}]},
        }
        backends = [{"name": BACKEND, "port": BACKEND_PORT}]
        route = {"parentRefs": [{"name": _NAME}], "hostnames": [host], "rules": [{"backendRefs": backends}]}
        gateway = {"gatewayClassName": "eg", "listeners": [listener]}
        self._documents: list[Document] = [
            _object(
                "v1", "Secret", type="kubernetes.io/tls", stringData={"tls.crt": certificate, "tls.key": mark + key}
            ),
            _object(f"{names.GATEWAY_API}/v1", "Gateway", spec=gateway),
            _object(f"{names.GATEWAY_API}/v1", "HTTPRoute", spec=route),
            # Where the Envoys are, for whom it is.
            _object("v1", "ConfigMap", namespace=SYSTEM, data={_TRUSTED: authority.file.read_text("ascii")}),
        ]

    def start(self) -> None:
        """Apply it, and wait until it has an address in the cluster."""
        self._kubectl.apply(self._documents)
        wait_until(lambda: bool(self._services()), lambda: f"a Service of the Gateway {_NAME}")

    def stop(self) -> None:
        """Delete it."""
        self._kubectl.delete(self._documents)

    def known_to(self, namespace: str) -> Document:
        """An EnvoyProxy, called as this is: its Envoys find the host here, and trust who certifies it and nobody else."""
        (service,) = self._services()
        trusted = {"name": "trusted", "mountPath": f"/etc/ssl/certs/{_TRUSTED}", "subPath": _TRUSTED}
        pod = {
            "hostAliases": [{"ip": service["spec"]["clusterIP"], "hostnames": [self._host]}],
            "volumes": [{"name": "trusted", "configMap": {"name": _NAME}}],
            "containers": [{"name": "envoy", "volumeMounts": [trusted]}],
        }
        # One of a Gateway's own takes the place of that of all Gateways, which has the cluster's image.
        config = self._kubectl.get("configmap", "envoy-gateway-config", "-n", SYSTEM)["data"]["envoy-gateway.yaml"]
        spec = yaml.safe_load(config)["envoyProxy"]
        patch = {"type": "StrategicMerge", "value": {"spec": {"template": {"spec": pod}}}}
        spec["provider"]["kubernetes"]["envoyDeployment"]["patch"] = patch
        return _object(f"{names.ENVOY_GATEWAY_API}/v1alpha1", "EnvoyProxy", namespace=namespace, spec=spec)

    def _services(self) -> list[Any]:
        found: list[Any] = self._kubectl.get("services", "-n", SYSTEM, "-l", _OWNER)["items"]
        return found


def _object(api: str, kind: str, *, namespace: str = DEFAULT_NAMESPACE, **content: Any) -> Document:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": _NAME, "namespace": namespace}} | content

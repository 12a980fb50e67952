"""A Kind cluster with Envoy Gateway, ratelimit, Redis and the fake OpenAI, from the files in ``manifests/``.

``python -m e2e.stacks.kind_cluster up`` makes it and prints how to use it, ``down`` deletes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import yaml

from e2e.stacks.kind_documents import services_of
from e2e.stacks.kind_images import Images, find_images, start_engine
from e2e.stacks.kubectl import ClusterError, Document, Kubectl, run, wait_until
from e2e.stacks.tools import tool
from tools.pins import cache_root

NAME: Final = "llmroute-e2e"
SYSTEM: Final = "envoy-gateway-system"
REDIS: Final = "redis-system"
MANIFESTS: Final = Path(__file__).resolve().parent.parent.parent / "manifests"
GATEWAY: Final = MANIFESTS / "envoy-gateway" / "gateway.yaml"
KEEP: Final = "LLMROUTE_KEEP_CLUSTER"
"""The environment variable that keeps the cluster, if it is ``1``."""
EXAMPLES: Final = MANIFESTS / "examples"
DEMO: Final = EXAMPLES / "ratelimit-demo" / "llmroute.yaml"
MODEL_SERVER: Final = "kserve/huggingfaceserver"
"""The image of the original manifest's backend."""
PYTHON: Final = "python:3.11-slim"
"""The image of the module's web server."""

_WITHIN: Final = 300.0
"""Seconds for anything that pulls images, starts pods or waits for them."""
_MARK: Final = "llmroute-e2e"
"""The ConfigMap that says what a cluster was made of; written last, so that with it a cluster is whole."""


class KindCluster:
    """Up while the ``with`` block runs; one at a time on a machine, which the others wait for.

    A cluster that is up and of the same images and manifests is taken as it is.

    Raises (on creation):
        Unavailable: a tool, the Docker engine or the images are missing.
    """

    def __init__(self) -> None:
        self._kind, self._helm, program = (str(tool(name)) for name in ("kind", "helm", "kubectl"))
        start_engine()
        self.images: Images = find_images()
        self._home = cache_root() / "kind"
        self._home.mkdir(parents=True, exist_ok=True)
        self.kubeconfig = self._home / f"{NAME}.kubeconfig"
        self.kubectl = Kubectl(Path(program), self.kubeconfig)
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            exits.enter_context(_lock(self._home / f"{NAME}.lock"))
            exits.callback(self._leave)
            self.ensure()
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def _leave(self) -> None:
        if os.environ.get(KEEP) != "1":
            self.delete()

    def ensure(self) -> None:
        """Make the cluster, or take the one that is up."""
        mark = self._fingerprint()
        if self._is_up() and self._mark() == mark:
            self._wait_for_all()
            return
        if not self._is_up():
            self.delete()
            self._create()
        self._install()
        self._say_whole(mark)

    @contextlib.contextmanager
    def in_other_hands(self) -> Iterator[None]:
        """All that is installed by manifests and Helm is taken away; others may install it; in the end it is as it was."""
        mark = self._mark()
        self.kubectl("delete", "configmap", _MARK)
        try:
            self._take_away()
            yield
        finally:
            self._install_gateway()
            self._say_whole(mark)

    def _take_away(self) -> None:
        """Gateways, Envoy Gateway and Redis. The model server stays: it is not ready for half a minute."""
        # Those of policies, too: their class goes when it has none.
        self.kubectl("delete", "gateways", "--all", "-A", within=_WITHIN)
        self.kubectl("delete", "--ignore-not-found", "-f", str(GATEWAY), within=_WITHIN)
        # A namespace with pods that take their time goes later still, and an Envoy does, for the sake of its clients.
        for namespace in (SYSTEM, REDIS):
            self.kubectl(
                "delete", "deploy,rs,pods", "--all", "-n", namespace, "--grace-period=0", "--force", within=_WITHIN
            )
        self.kubectl("delete", "namespace", SYSTEM, REDIS, within=_WITHIN)

    def _configuration(self) -> object:
        """Envoy Gateway's; None where there is none."""
        with contextlib.suppress(ClusterError):
            return self.kubectl.get("configmap", "envoy-gateway-config", "-n", SYSTEM)["data"]
        return None

    def delete(self) -> None:
        """Delete the cluster, if there is one."""
        run(self._kind, "delete", "cluster", "--name", NAME, "--kubeconfig", str(self.kubeconfig), within=_WITHIN)

    def apply(self, text: str) -> None:
        """Apply manifests as they are, but for their images."""
        self.kubectl("apply", "-f", "-", stdin=self.adapted(text))

    def adapted(self, text: str) -> str:
        """The text with the fake OpenAI's image in place of the model server's, and others where those are local."""
        text = text.replace(f"image: {MODEL_SERVER}\n", f"image: {self.images.upstream}\n")
        if self.images.redis is None:
            return text
        text = text.replace("image: redis:7.0.15\n", f"image: {self.images.redis}\n")
        return text.replace(f"image: {PYTHON}\n", f"image: {self.images.upstream}\n")  # it has Python, too

    def lend_addresses(self) -> None:
        """Be the load balancer: give each Service that waits for an address one, from those for documentation.

        Nobody sends anything there: tests come by port-forward.
        """
        services = [s for s in self.kubectl.get("services", "-A")["items"] if s["spec"]["type"] == "LoadBalancer"]
        for number, service in enumerate(services, start=1):
            if not service["status"].get("loadBalancer", {}).get("ingress"):
                place, name = service["metadata"]["namespace"], service["metadata"]["name"]
                patch = f'{{"status":{{"loadBalancer":{{"ingress":[{{"ip":"192.0.2.{number}"}}]}}}}}}'
                self.kubectl("-n", place, "patch", "svc", name, "--subresource=status", "--type=merge", "-p", patch)

    def _is_up(self) -> bool:
        if NAME not in run(self._kind, "get", "clusters").split():
            return False
        with contextlib.suppress(ClusterError):
            run(self._kind, "export", "kubeconfig", "--name", NAME, "--kubeconfig", str(self.kubeconfig))
            return self.kubectl("get", "--raw", "/readyz", within=10.0) == "ok"
        return False

    def _mark(self) -> str:
        with contextlib.suppress(ClusterError):
            return str(self.kubectl.get("configmap", _MARK)["data"]["fingerprint"])
        return ""

    def _say_whole(self, mark: str) -> None:
        data = {"fingerprint": mark}
        self.kubectl.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _MARK}, "data": data}])

    def _fingerprint(self) -> str:
        files = [*_values(), MANIFESTS / "redis" / "redis.yaml", MANIFESTS / "kind" / "cluster.yaml", *_policies()]
        content = b"".join(file.read_bytes() for file in files)
        return hashlib.sha256(self.images.fingerprint.encode() + content).hexdigest()[:12]

    @property
    def creation(self) -> Sequence[str]:
        """The command that makes it."""
        config = str(MANIFESTS / "kind" / "cluster.yaml")
        image = ("--image", self.images.node) if self.images.node else ()
        own = ("--name", NAME, "--kubeconfig", str(self.kubeconfig), "--wait", "180s")
        return self._kind, "create", "cluster", "--config", config, *own, *image

    def _create(self) -> None:
        run(*self.creation, within=2 * _WITHIN)
        # The second one would only take its share of a small machine.
        self.kubectl("-n", "kube-system", "scale", "deployment", "coredns", "--replicas=1")

    def _install(self) -> None:
        run(self._kind, "load", "docker-image", "--name", NAME, *self.images.load, within=_WITHIN)
        # The model server's probes begin after 30 s: it starts while the rest is installed.
        backend = self._backend_of_the_demo()
        # A new one beside the old one, as in a rolling update, would not find a whole processor to ask for.
        self.kubectl.delete(document for document in backend if document["kind"] == "Deployment")
        self.kubectl.apply(backend)
        # Nothing says when the node forwards to a new Service: those of the examples are there long before their use.
        self.kubectl.apply(services_of(d for p in _policies() for d in yaml.safe_load_all(p.read_text("utf-8")) if d))
        self._install_gateway()

    def _install_gateway(self) -> None:
        """Redis, Envoy Gateway and the Gateway of the examples."""
        found = self._configuration()
        self.apply((MANIFESTS / "redis" / "redis.yaml").read_text("utf-8"))
        command = [self._helm, "--kubeconfig", str(self.kubeconfig), "upgrade", "--install", "eg", *self.images.chart]
        command += ["-n", SYSTEM, "--create-namespace", "--wait", "--timeout", f"{_WITHIN:.0f}s"]
        command += [argument for file in _values() for argument in ("-f", str(file))]
        command += [argument for value in self.images.values for argument in ("--set", value)]
        # Helm has no option for it: what it keeps of the cluster's API would be below the user's home.
        run(*command, within=_WITHIN + 30, extra={"KUBECACHEDIR": str(self._home / "helm.cache")})
        if found and found != self._configuration():
            # It reads another one when it starts; else some time later.
            self.kubectl("-n", SYSTEM, "rollout", "restart", "deployment/envoy-gateway")
        self.apply(GATEWAY.read_text("utf-8"))
        self._wait_for_all()

    def _backend_of_the_demo(self) -> Sequence[Document]:
        """ServiceAccount, Service and Deployment of the original manifest."""
        kinds = ("ServiceAccount", "Service", "Deployment")
        text = self.adapted(DEMO.read_text("utf-8"))
        return [document for document in yaml.safe_load_all(text) if document and document["kind"] in kinds]

    def _wait_for_all(self) -> None:
        """Every deployment of ours is available, the ratelimit service that Envoy Gateway makes included."""
        wait_until(
            lambda: bool(self.kubectl.get("deployments", "-n", SYSTEM, "-l", "app.kubernetes.io/name=envoy-ratelimit")["items"]),
            lambda: "Envoy Gateway deploys ratelimit",
        )  # fmt: skip
        for namespace in (SYSTEM, REDIS, "default"):
            self.kubectl(
                "-n", namespace, "wait", "deployment", "--all", "--for=condition=Available",
                f"--timeout={_WITHIN:.0f}s", within=_WITHIN + 30,
            )  # fmt: skip


def _values() -> Sequence[Path]:
    return MANIFESTS / "envoy-gateway" / "values.yaml", MANIFESTS / "kind" / "values.yaml"


def _policies() -> Sequence[Path]:
    return sorted(EXAMPLES.glob("*/llmroute.yaml"))


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """``up`` or ``down``."""
    match arguments:
        case ["up"]:
            os.environ[KEEP] = "1"
            with KindCluster() as cluster:
                sys.stdout.write(f"export KUBECONFIG={cluster.kubeconfig}\n")
        case ["down"]:
            run(str(tool("kind")), "delete", "cluster", "--name", NAME)
        case _:
            sys.stderr.write("usage: python -m e2e.stacks.kind_cluster up|down\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Which images a Kind cluster runs: those of registries, or those that ``e2e/airgap`` made where none is reached."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2e.stacks.kubectl import ClusterError, run
from e2e.stacks.protocol import Unavailable
from tools.pins import pins

E2E: Final = Path(__file__).resolve().parent.parent
NODE_IMAGE: Final = "kindest/node:v1.34.0"
"""What kind of the pinned version asks for."""
_PULL_WITHIN: Final = 300.0
_BUILD_WITHIN: Final = 900.0
# The manifest gives the server arguments about its model, which the fake one does not have.
_STAND_IN: Final = """\
FROM {base}
ENTRYPOINT ["sh", "-c", "exec python3 -m llmroute.conformance.upstream --host 0.0.0.0"]
"""


@dataclass(frozen=True, slots=True)
class Images:
    """``node`` is None for kind's own. ``chart``: Helm's arguments for it. ``values``: its images, where they are local.

    ``upstream`` stands in for the model server. ``redis`` is None for the manifest's own. ``load``: what the
    cluster cannot pull.
    """

    node: str | None
    chart: tuple[str, ...]
    values: tuple[str, ...]
    redis: str | None
    upstream: str
    load: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Differs when anything does."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


def published_chart() -> tuple[str, ...]:
    """Helm's arguments for Envoy Gateway's own chart."""
    return "oci://docker.io/envoyproxy/gateway-helm", "--version", pins()["ENVOY_GATEWAY"]


def start_engine() -> None:
    """Make sure that a Docker engine runs.

    Raises:
        Unavailable: none does, and none can be started.
    """
    try:
        run(str(E2E / "docker" / "engine.sh"), within=_BUILD_WITHIN)
    except (ClusterError, OSError) as error:
        raise Unavailable(f"a Docker engine: {error}") from error


def find_images() -> Images:
    """The images, built or pulled where they are not there.

    A node image that is there is taken, kind's before ours: so a registry is asked once.

    Raises:
        Unavailable: there is no node image, and none can be pulled.
    """
    if _have(NODE_IMAGE):
        return _registry()
    made = _airgap()
    if made:
        return _local(made)
    try:
        run("docker", "pull", "-q", NODE_IMAGE, within=_PULL_WITHIN)
    except ClusterError as error:
        raise Unavailable(f"a node image: {NODE_IMAGE} cannot be pulled, and none is made here: make airgap") from error
    return _registry()


def _have(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0


def _airgap() -> Mapping[str, str]:
    """What ``e2e/airgap`` made; nothing where anything is missing."""
    try:
        return _pairs(run(str(E2E / "airgap" / "up"), "--names"))
    except ClusterError:
        return {}


def _built(*parts: str, registry: bool) -> Mapping[str, str]:
    extra = {} if registry else {"LLMROUTE_REGISTRY": "no"}
    return _pairs(run(str(E2E / "images" / "build.sh"), *parts, within=_BUILD_WITHIN, extra=extra))


def _pairs(lines: str) -> Mapping[str, str]:
    return dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)


def _stand_in(base: str) -> str:
    name = f"llmroute/huggingfaceserver:{base.rpartition(':')[2]}"
    # kind cannot load an image with attestations
    extra = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    run("docker", "build", "-q", "-t", name, "-", stdin=_STAND_IN.format(base=base), extra=extra)
    return name


def _registry() -> Images:
    upstream = _stand_in(_built("upstream", registry=True)["LLMROUTE_UPSTREAM_IMAGE"])
    return Images(None, published_chart(), (), None, upstream, (upstream,))


def _local(made: Mapping[str, str]) -> Images:
    built = _built("upstream", "envoy", "ratelimit", "redis", registry=False)
    upstream = _stand_in(built["LLMROUTE_UPSTREAM_IMAGE"])
    parts = {
        "envoyGateway": made["GATEWAY_IMAGE"],
        "ratelimit": built["LLMROUTE_RATELIMIT_IMAGE"],
        "envoyProxy": built["LLMROUTE_ENVOY_IMAGE"],
    }
    values = tuple(f"global.images.{part}.image={image}" for part, image in parts.items())
    redis = built["LLMROUTE_REDIS_IMAGE"]
    return Images(made["NODE_IMAGE"], (made["CHART"],), values, redis, upstream, (*parts.values(), redis, upstream))

"""What the doctor says of clusters that lack something, by a stand-in for kubectl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools import doctor

pytestmark = pytest.mark.slow

GOOD: dict[str, Any] = {
    "extensionApis": {"enableLua": True, "enableBackend": True},
    "rateLimit": {"backend": {"type": "Redis", "redis": {"url": "redis:6379"}}, "timeout": "1s", "failClosed": True},
}
KUBECTL = """\
#!/usr/bin/env python3
import json, pathlib, sys
answers = json.loads(pathlib.Path(__file__).with_suffix(".json").read_text())
print(answers.get(" ".join(sys.argv[1:3]), answers.get(" ".join(a for a in sys.argv if "=" in a), "")))
"""


def deployment(image: str, available: str = "True") -> dict[str, Any]:
    """A Deployment as kubectl shows it."""
    return {
        "metadata": {"namespace": "eg"},
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        "status": {"conditions": [{"type": "Available", "status": available}]},
    }


class Fake:
    """A cluster whose answers a test changes before it asks."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads(json.dumps(GOOD))
        self.gateways = [deployment("envoyproxy/gateway:v1.9.1")]
        self.ratelimits = [deployment("envoyproxy/ratelimit:1")]
        self.crds = True
        self._program = folder / "kubectl"
        self._program.write_text(KUBECTL, "utf-8")
        self._program.chmod(0o755)

    def findings(self) -> list[str]:
        """What the doctor says."""
        crds = {f"get {word}": "{}" for word in ["crd"] if self.crds}
        answers = crds | {
            "control-plane=envoy-gateway": json.dumps({"items": self.gateways}) if self.gateways else "",
            "app.kubernetes.io/name=envoy-ratelimit": json.dumps({"items": self.ratelimits}) if self.ratelimits else "",
            "get configmap": json.dumps({"data": {"envoy-gateway.yaml": json.dumps(self.config)}}),
        }
        self._program.with_suffix(".json").write_text(json.dumps(answers), "utf-8")
        return [str(finding) for finding in doctor.examine(doctor.Cluster([str(self._program)]), "eg")]


@pytest.fixture
def cluster(tmp_path: Path) -> Fake:
    """A cluster that lacks nothing."""
    return Fake(tmp_path)


def test_nothing_is_missing(cluster: Fake) -> None:
    """No line at all."""
    assert cluster.findings() == []


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("docker.io/envoyproxy/gateway:v1.8.1", "missing: Envoy Gateway 1.9 or newer: this is 1.8.1; it loses"),
        ("registry:5000/gateway:v1.7.3", "missing: Envoy Gateway 1.9 or newer: this is 1.7.3"),
        ("envoyproxy/gateway:latest", "warning: the version of envoyproxy/gateway:latest is not known"),
    ],
)
def test_the_version(cluster: Fake, image: str, said: str) -> None:
    """Older than 1.9 is an error, one that cannot be told a warning."""
    cluster.gateways = [deployment(image)]
    (line,) = cluster.findings()
    assert line.startswith(said)


@pytest.mark.parametrize("image", ["gateway:v1.9.0", "gateway:v1.10.2@sha256:0", "gateway:v2.0.0-rc.1"])
def test_new_enough(cluster: Fake, image: str) -> None:
    """1.10 is newer than 1.9."""
    cluster.gateways = [deployment(image)]
    assert cluster.findings() == []


@pytest.mark.parametrize(
    ("part", "field", "said"),
    [
        ("extensionApis", "enableLua", "missing: extensionApis.enableLua: true"),
        ("extensionApis", "enableBackend", "missing: extensionApis.enableBackend: true"),
        ("rateLimit", "backend", "missing: rateLimit.backend.redis"),
        ("rateLimit", "failClosed", "warning: rateLimit.failClosed"),
        ("rateLimit", "timeout", "warning: rateLimit.timeout"),
    ],
)
def test_the_configuration(cluster: Fake, part: str, field: str, said: str) -> None:
    """One line for each setting that is not there."""
    del cluster.config[part][field]
    (line,) = cluster.findings()
    assert line.startswith(said)


def test_no_crds(cluster: Fake) -> None:
    """Each that is missing, by name."""
    cluster.crds = False
    assert [line.split()[3].rstrip(":") for line in cluster.findings()] == list(doctor._CRDS)  # noqa: SLF001


def test_no_gateway_and_no_ratelimit(cluster: Fake) -> None:
    """Without Envoy Gateway there is no more to say; without ratelimit nothing is limited."""
    cluster.ratelimits = [deployment("ratelimit:1", "False")]
    assert [line.split(":")[1] for line in cluster.findings()] == [" the ratelimit server is not available"]
    cluster.ratelimits = []
    assert len(cluster.findings()) == 1
    cluster.gateways = []
    (line,) = cluster.findings()
    assert line.startswith("missing: Envoy Gateway in namespace eg")


def test_no_kubectl(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    assert doctor.main(["--kubectl", "/nowhere/kubectl"]) == 2
    assert "there is no /nowhere/kubectl" in capsys.readouterr().err

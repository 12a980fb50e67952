"""The ``compose`` target: the ``envoy`` target's files, and what runs them with Docker."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.stacks.compose_file import Mount, services
from llmroute.emit.compose import IMAGES
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint
from llmroute.targets import COMPOSE, ENVOY, capabilities
from tests.policies import limit, route, rule, text

POLICY = text(route(rule(limit(10))))


def files(target: str = COMPOSE) -> dict[str, str]:
    """What a target makes of the policy, by path."""
    upstream: dict[str | None, Endpoint] = {None: Endpoint("model.example", 8000)}
    compiled = compile_policies([("policy.yaml", POLICY)], capabilities(target), stand_ins=upstream)
    return {a.path: a.text for a in compiled.artifacts}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the target on disk."""
    for path, content in files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    return tmp_path


def parsed() -> dict[str, Any]:
    """``compose.yaml`` as data."""
    document = yaml.safe_load(files()["compose.yaml"])
    assert isinstance(document, dict)
    return document


def test_it_adds_one_file_to_those_of_the_envoy_target() -> None:
    """And the bootstrap differs in nothing but where ratelimit is."""
    mine, plain = files(), files(ENVOY)
    assert sorted(mine) == sorted([*plain, "compose.yaml"])
    assert mine["ratelimit/default.route.yaml"] == plain["ratelimit/default.route.yaml"]
    addresses = [
        next(c for c in yaml.safe_load(f["envoy.yaml"])["static_resources"]["clusters"] if c["name"] == "ratelimit")
        for f in (mine, plain)
    ]
    endpoint = addresses[0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint == {"address": {"socket_address": {"address": "ratelimit", "port_value": 8081}}}
    assert addresses[0]["type"] == "STRICT_DNS"
    documents = [yaml.safe_load(f["envoy.yaml"]) for f in (mine, plain)]
    for document in documents:
        clusters = document["static_resources"]["clusters"]
        clusters[:] = [cluster for cluster in clusters if cluster["name"] != "ratelimit"]
    assert documents[0] == documents[1]


def test_the_gateway_is_published_on_loopback_only() -> None:
    """Redis and ratelimit are not published at all."""
    ports = {name: service.get("ports") for name, service in parsed()["services"].items()}
    assert ports == {"envoy": ["127.0.0.1:${LLMROUTE_PORT:-8080}:10000"], "ratelimit": None, "redis": None}


def test_every_mounted_file_is_one_that_is_written(folder: Path) -> None:
    """Docker would make a directory of a path that is not there, and Envoy would not start on it."""
    mounts = [m for service in services(folder / "compose.yaml", {}) for m in service.mounts]
    assert {m.target for m in mounts} == {"/etc/envoy/envoy.yaml", "/data/ratelimit/config", "/data"}
    assert all(Path(m.source).exists() and m.mode == "ro" for m in mounts if not m.named)
    assert [m for m in mounts if m.named] == [Mount("counters", "/data", "rw", named=True)]
    assert list(parsed()["volumes"]) == ["counters"]


def test_services_come_after_those_they_need(folder: Path) -> None:
    """Redis, which answers, then ratelimit, then Envoy."""
    assert [s.name for s in services(folder / "compose.yaml", {})] == ["redis", "ratelimit", "envoy"]
    needs = {name: service.get("depends_on") for name, service in parsed()["services"].items()}
    assert needs["ratelimit"] == {"redis": {"condition": "service_healthy"}}


def test_images_are_the_proven_ones_or_the_callers(folder: Path) -> None:
    """An environment variable for each."""
    default = {s.name: s.image for s in services(folder / "compose.yaml", {})}
    assert set(default.values()) == set(IMAGES.values())
    mine = {variable: f"mine/{variable.lower()}" for variable in IMAGES}
    chosen = {s.name: s.image for s in services(folder / "compose.yaml", mine)}
    assert chosen == {name: f"mine/llmroute_{name}_image" for name in default}


def test_nothing_is_left_for_compose_to_fill_in_by_accident() -> None:
    """A ``$`` in a command is a variable to Compose: all of ours are images and the port."""
    variables = {part.split(":-")[0] for part in files()["compose.yaml"].split("${")[1:]}
    assert variables == {*IMAGES, "LLMROUTE_PORT"}
    assert files()["compose.yaml"].count("$") == len(IMAGES) + 1


def test_a_key_that_the_reader_does_not_know_is_an_error(tmp_path: Path) -> None:
    """The docker stack must not run less than the file says."""
    file = tmp_path / "compose.yaml"
    file.write_text("services: {a: {image: b, privileged: true}}", encoding="utf-8")
    with pytest.raises(ValueError, match="privileged"):
        services(file, {})


def test_compose_accepts_it(folder: Path) -> None:
    """``docker compose config`` is the judge, where there is one; what it is to find is tested above anyway."""
    docker = shutil.which("docker") or "docker"
    if subprocess.run(["sh", "-c", f"{docker} compose version"], capture_output=True, check=False).returncode:
        pytest.skip("missing capability: docker compose")
    command = [docker, "compose", "--file", str(folder / "compose.yaml"), "config", "--quiet"]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (judged.returncode, judged.stderr) == (0, "")

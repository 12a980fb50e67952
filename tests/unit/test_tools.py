"""The pins agree with what is pinned elsewhere, and tools are built once, or say why they cannot be."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from llmroute.local.ratelimit import RATELIMIT_MODULE
from tools import fetch
from tools.go import Go, GoUnavailable
from tools.pins import cache_root, pins

ROOT = Path(fetch.__file__).parent.parent
TOOL = fetch.Tool("thing", "v1.2.3", "example.org/thing/cmd/gadget", {"example.org/thing.version": "v1.2.3"})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache and links of the test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "LINKS", tmp_path / "links")


def go_that(folder: Path, script: str) -> Go:
    """A ``go`` that runs ``script``, with the fresh directory in GOBIN."""
    program = folder / "go"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{script}\n')
    program.chmod(0o755)
    return Go(str(program), {"PATH": "/usr/bin:/bin"}, folder)


def test_every_pin_is_a_plain_word_for_shell_and_make() -> None:
    """KEY=VALUE without quotes or spaces; and a shell reads the same."""
    assert all(re.fullmatch(r"[\w.-]+", value) for value in pins().values())
    command = ["sh", "-c", '. tools/pins.env; echo "$KIND_VERSION $ENVOY_GATEWAY_VERSION"']
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert said == [pins()["KIND"], pins()["ENVOY_GATEWAY"]]


def test_versions_that_stand_twice_are_the_same() -> None:
    """Envoy is also a Python package, and users are told of the ratelimit module."""
    assert f"\nenvoy-server=={pins()['ENVOY']}\n" in (ROOT / "constraints.txt").read_text()
    assert RATELIMIT_MODULE.endswith(f"@{pins()['RATELIMIT']}")


def test_a_tool_is_built_once_and_linked(tmp_path: Path) -> None:
    """By version in the cache, under its own name whatever Go calls it; the second time nothing is run."""
    go = go_that(tmp_path, 'echo made > "$GOBIN/gadget"')
    assert fetch.ensure(TOOL, lambda: go).startswith("built in ")
    kept = cache_root() / "tools" / "thing" / "v1.2.3" / "thing"
    assert kept.read_text() == "made\n"
    assert (fetch.LINKS / "thing").resolve() == kept
    assert (tmp_path / "calls").read_text().split("\n") == [
        "install -ldflags -s -w -X example.org/thing.version=v1.2.3 example.org/thing/cmd/gadget@v1.2.3",
        "",
    ]
    (fetch.LINKS / "thing").unlink()
    assert fetch.ensure(TOOL, _never) == f"there: {kept}"
    assert (fetch.LINKS / "thing").resolve() == kept
    assert [p.name for p in kept.parent.iterdir()] == ["thing"], "nothing half made stays"


def test_a_program_of_our_own_is_built_from_its_folder(tmp_path: Path) -> None:
    """Without a network: it has no dependencies. Its version is the hash of its sources."""
    tool = fetch.TOOLS["load"]
    assert re.fullmatch(r"[0-9a-f]{16}", tool.version)
    go = go_that(tmp_path, 'pwd > "$5"; echo "$GOPROXY" >> "$5"')
    assert fetch.ensure(tool, lambda: go).startswith("built in ")
    assert tool.path.read_text().splitlines() == [str(ROOT / "tools" / "load"), "off"]
    assert (tmp_path / "calls").read_text().startswith("build -ldflags -s -w -o ")


def _never() -> Go:
    raise AssertionError("no Go is needed")


@pytest.mark.parametrize(("says", "found"), [("thing v1.2.3 linux", True), ("thing v1.2.4 linux", False)])
def test_one_on_path_is_taken_only_at_the_right_version(
    says: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version is no tool of ours: it is built then."""
    program = tmp_path / "thing"
    program.write_text(f"#!/bin/sh\necho {says}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tool = fetch.Tool("thing", "v1.2.3", "example.org/thing", version_of=("version",), accepts=r"v1\.2\.3\b")
    go = go_that(tmp_path, 'echo made > "$GOBIN/thing"')
    assert fetch.ensure(tool, lambda: go).startswith("on PATH: " if found else "built in ")


def test_without_a_network_the_module_proxy_is_named(tmp_path: Path) -> None:
    """One line, not a log; nothing is left that looks like a tool."""
    go = go_that(tmp_path, "echo 'noise\nGet it: dial tcp: no route' >&2; exit 1")
    with pytest.raises(GoUnavailable, match="module proxy is not reachable; go says: Get it: dial tcp: no route"):
        fetch.ensure(TOOL, lambda: go)
    assert not TOOL.path.exists()
    assert not (fetch.LINKS / "thing").exists()


def test_a_failed_build_shows_the_end_of_its_log(tmp_path: Path) -> None:
    """And leaves nothing behind."""
    go = go_that(tmp_path, "seq 1 50; echo 'undefined: x' >&2; exit 1")
    with pytest.raises(
        fetch.BuildError, match=r"(?s)go install failed; its log ends with:\n32\n.*undefined: x"
    ) as raised:
        fetch.ensure(TOOL, lambda: go)
    assert "\n31\n" not in str(raised.value)
    assert list(TOOL.path.parent.iterdir()) == []

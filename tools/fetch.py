"""Finds or builds the pinned tools of the e2e stacks: ``python -m tools.fetch [NAME ...]`` from the checkout.

A tool is kept as ``${XDG_CACHE_HOME:-~/.cache}/llmroute/tools/<name>/<version>/<name>``, linked from
``.tools/<name>``, and not built again while it is there. Sources come from the Go module proxy. One of
the right version on PATH is taken where its version can be asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.go import Go, GoUnavailable, find_go, is_unreachable, unreachable
from tools.pins import cache_root, pins

_HERE: Final = Path(__file__).resolve().parent
CHECKOUT: Final = _HERE.parent
LINKS: Final = CHECKOUT / ".tools"
_WITHIN: Final = 3600.0
"""Seconds for one build."""


class BuildError(RuntimeError):
    """A tool does not build; the message ends with the last lines of the log."""


@dataclass(frozen=True)
class Tool:
    """``package`` is what ``go install`` takes, its last part before a major version the name of the binary it makes.

    ``stamps``: variables that say the version, set by the linker. ``version_of`` and ``accepts``: how to
    ask one on PATH for its version, and the pattern that it must answer. ``wrapped``: ``package`` is the
    module of a library, and our ``main.go`` in the folder of the tool's name makes a program of it. One without
    ``package`` is all our own: its sources are in that folder, and their hash is its version.
    """

    name: str
    version: str
    package: str = ""
    stamps: dict[str, str] = field(default_factory=dict)
    version_of: tuple[str, ...] = ()
    accepts: str = ""
    wrapped: bool = False

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return cache_root() / "tools" / self.name / self.version / self.name


def _tools() -> Iterator[Tool]:
    eg, helm, kind, kubernetes = (pins()[key] for key in ("ENVOY_GATEWAY", "HELM", "KIND", "KUBERNETES"))
    kustomize = pins()["KUSTOMIZE"]
    minor = int(kubernetes.split(".")[1])
    for name in ("envoy-gateway", "egctl"):
        module = "github.com/envoyproxy/gateway"
        yield Tool(name, eg, f"{module}/cmd/{name}", {f"{module}/internal/cmd/version.envoyGatewayVersion": eg})
    yield Tool("load", _hash(_HERE / "load"))
    yield Tool("ratelimit", pins()["RATELIMIT"], "github.com/envoyproxy/ratelimit/src/service_cmd")
    yield Tool(
        "kind", kind, "sigs.k8s.io/kind",
        version_of=("version",), accepts=rf"kind {re.escape(kind)}\b",
    )  # fmt: skip
    yield Tool(
        "helm", helm, "helm.sh/helm/v3/cmd/helm",
        {
            "helm.sh/helm/v3/internal/version.version": helm,
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": "1",
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": str(minor),
        },
        version_of=("version", "--short"), accepts=rf"{re.escape(helm)}\b",
    )  # fmt: skip
    yield Tool(
        "kubectl", kubernetes, "k8s.io/kubectl",
        {f"k8s.io/{p}/version.gitVersion": kubernetes for p in ("component-base", "client-go/pkg")},
        # Kubernetes supports one minor version of difference.
        version_of=("version", "--client"), accepts=rf"v1\.({minor - 1}|{minor}|{minor + 1})\.", wrapped=True,
    )  # fmt: skip
    yield Tool(
        "kustomize", kustomize, "sigs.k8s.io/kustomize/kustomize/v5",
        version_of=("version",), accepts=rf"{re.escape(kustomize)}\b",
    )  # fmt: skip


def _hash(sources: Path) -> str:
    texts = (file.name.encode() + b"\0" + file.read_bytes() for file in sorted(sources.iterdir()))
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


TOOLS: Final = {tool.name: tool for tool in _tools()}


def ensure(tool: Tool, go: Callable[[], Go]) -> str:
    """Have ``tool`` linked from ``.tools``; what was done for it. ``go`` is called where it has to be built.

    Raises:
        GoUnavailable: it has to be built, and cannot be for want of Go or of the module proxy.
        BuildError: its build failed.
    """
    if tool.path.is_file():
        _link(tool, tool.path)
        return f"there: {tool.path}"
    if found := _on_path(tool):
        _link(tool, found)
        return f"on PATH: {found}"
    begun = time.monotonic()
    _build(tool, go())
    _link(tool, tool.path)
    return f"built in {time.monotonic() - begun:.0f} s: {tool.path}"


def _on_path(tool: Tool) -> Path | None:
    program = shutil.which(tool.name) if tool.version_of else None
    if program is None or Path(program).parent == LINKS:
        return None
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([program, *tool.version_of], capture_output=True, text=True, check=False, timeout=30)
        if re.search(tool.accepts, done.stdout):
            return Path(program)
    return None


def _build(tool: Tool, go: Go) -> None:
    tool.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=tool.path.parent) as name:
        fresh = Path(name)
        flags = " ".join(["-s -w", *(f"-X {variable}={value}" for variable, value in tool.stamps.items())])
        if tool.wrapped:
            shutil.copy(_HERE / tool.name / "main.go", fresh)
            _run(go, fresh, "mod", "init", f"llmroute.tools/{tool.name}")
            _run(go, fresh, "get", f"{tool.package}@{tool.version.replace('v1.', 'v0.', 1)}")
            _run(go, fresh, "build", "-mod=mod", "-ldflags", flags, "-o", tool.name)
            binary = fresh / tool.name
        elif not tool.package:
            binary = fresh / tool.name
            _run(go, _HERE / tool.name, "build", "-ldflags", flags, "-o", str(binary), GOPROXY="off")
        else:
            _run(go, fresh, "install", "-ldflags", flags, f"{tool.package}@{tool.version}")
            binary = fresh / re.sub(r"/v\d+$", "", tool.package).rpartition("/")[2]
        binary.replace(tool.path)


def _run(go: Go, folder: Path, *arguments: str, **environment: str) -> None:
    done = go.run(*arguments, cwd=folder, within=_WITHIN, **{"GOBIN": str(folder), **environment})
    if done.returncode == 0:
        return
    if is_unreachable(done.stderr):
        raise unreachable(done.stderr)
    tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
    raise BuildError(f"go {arguments[0]} failed; its log ends with:\n{tail}")


def _link(tool: Tool, target: Path) -> None:
    """Replace the link in one step."""
    LINKS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=LINKS) as scratch:
        link = Path(scratch, tool.name)
        link.symlink_to(target)
        link.replace(LINKS / tool.name)


def main() -> int:
    """Find or build the named tools, or all; 1 where one cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m tools.fetch", description="Find or build the pinned tools.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(TOOLS)} (default: all)")
    names = parser.parse_args().names or list(TOOLS)
    if unknown := [name for name in names if name not in TOOLS]:
        parser.error(f"there is no tool {', '.join(unknown)}; there are {', '.join(TOOLS)}")
    with contextlib.ExitStack() as stack:
        go = functools.cache(lambda: stack.enter_context(find_go()))
        for name in names:
            tool = TOOLS[name]
            try:
                done = ensure(tool, go)
            except (GoUnavailable, BuildError) as error:
                print(f"{name} {tool.version}: {error}", file=sys.stderr)
                return 1
            print(f"{name} {tool.version}: {done}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

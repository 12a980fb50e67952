"""The CRDs of Envoy Gateway and the Gateway API, fetched once and kept as JSON that loads in milliseconds.

They come out of Envoy Gateway's Go module (``tools/go.py`` finds a Go). They are not ours to commit. The cache is
``${XDG_CACHE_HOME:-~/.cache}/llmroute/crds/<version>/``: one file per kind and an ``index.json``, written
last, so that a directory with an index is whole. ``python -m tools.crds`` fills it and prints its path.
"""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tools.go import GoUnavailable, find_go, unreachable
from tools.pins import cache_root, pins

EG_VERSION: Final = pins()["ENVOY_GATEWAY"]
KINDS: Final = frozenset(
    {
        "Backend",
        "BackendTrafficPolicy",
        "ClientTrafficPolicy",
        "EnvoyExtensionPolicy",
        "EnvoyPatchPolicy",
        "EnvoyProxy",
        "Gateway",
        "GatewayClass",
        "HTTPRoute",
        "SecurityPolicy",
    }
)
"""What the goldens need at least; every other kind of the same files is kept as well."""

_MODULE: Final = "github.com/envoyproxy/gateway"
_CHART: Final = "charts/gateway-helm/charts/crds/crds"

Index = Mapping[str, Mapping[str, str]]
"""API group -> kind -> file name."""


class CrdsUnavailable(RuntimeError):  # noqa: N818 - a state of the machine, not a mistake
    """The CRDs are not cached and cannot be fetched; the message names the missing capability."""


def ensure(version: str = EG_VERSION) -> Path:
    """The directory of the CRDs of an Envoy Gateway version, fetched where it is not there.

    Raises:
        CrdsUnavailable: it is not there and cannot be fetched.
    """
    target = cache_root() / "crds" / version
    if not (target / "index.json").is_file():
        target.mkdir(parents=True, exist_ok=True)
        with _module(version) as folder:
            _store(_read(folder / _CHART), target)
    return target


@functools.cache
def index() -> Index:
    """Which kinds there are.

    Raises:
        CrdsUnavailable: they are not there and cannot be fetched.
    """
    found: Index = json.loads((ensure() / "index.json").read_bytes())
    return found


@functools.cache
def load(group: str, kind: str) -> Mapping[str, Any]:
    """One CRD: ``{"group", "kind", "versions": {"v1": <OpenAPI v3 schema without descriptions>}}``.

    Raises:
        KeyError: there is no such kind.
        CrdsUnavailable: the CRDs are not there and cannot be fetched.
    """
    crd: Mapping[str, Any] = json.loads((ensure() / index()[group][kind]).read_bytes())
    return crd


@contextlib.contextmanager
def _module(version: str) -> Iterator[Path]:
    """The folder of the Go module, for as long as the block lasts."""
    try:
        with find_go() as go:
            yield Path(_folder(go.run("mod", "download", "-json", f"{_MODULE}@{version}", GOTOOLCHAIN="local")))
    except GoUnavailable as error:
        raise CrdsUnavailable(str(error)) from error


def _folder(done: subprocess.CompletedProcess[str]) -> str:
    """The folder that ``go mod download -json`` names."""
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    if done.returncode == 0 and "Dir" in answer:
        return str(answer["Dir"])
    raise unreachable(str(answer.get("Error") or done.stderr).strip() or f"exit code {done.returncode}")


def _read(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Every CRD in the chart's files."""
    for path in sorted(folder.rglob("*.yaml")):
        for document in yaml.load_all(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if document and document.get("kind") == "CustomResourceDefinition":
                yield document["spec"]


def _store(specs: Iterator[Mapping[str, Any]], target: Path) -> None:
    """Write one file per kind, then the index."""
    index: dict[str, dict[str, str]] = {}
    for spec in specs:
        group, kind = spec["group"], spec["names"]["kind"]
        versions = {
            version["name"]: undescribed(version["schema"]["openAPIV3Schema"])
            for version in spec["versions"]
            if version["served"]
        }
        name = f"{kind}.{group}.json"
        _write(target / name, {"group": group, "kind": kind, "versions": versions})
        index.setdefault(group, {})[kind] = name
    if missing := KINDS.difference(*index.values()):
        raise CrdsUnavailable(f"{_MODULE} has no CRD for {', '.join(sorted(missing))}")
    _write(target / "index.json", index)


def undescribed(schema: Any) -> Any:
    """A schema without its prose; a property may well be called ``description``."""
    if isinstance(schema, list):
        return [undescribed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {name: undescribed(item) for name, item in value.items()}
        elif key in ("default", "enum"):
            out[key] = value
        elif key != "description":
            out[key] = undescribed(value)
    return out


def _write(path: Path, value: Any) -> None:
    """Replace a file in one step."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False) as file:
        json.dump(value, file, separators=(",", ":"))
    Path(file.name).replace(path)


def main() -> int:
    """Fill the cache; exit code 1 where that cannot be done."""
    try:
        print(ensure())
    except CrdsUnavailable as error:
        print(f"crds: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

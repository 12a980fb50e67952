"""Reads the services of a ``compose.yaml``: as much of the format as ours uses, and refuses the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

_VARIABLE: Final = re.compile(r"\$\{(\w+):-([^}]*)\}")
_KEYS: Final = {"image", "command", "environment", "volumes", "ports", "extra_hosts", "depends_on", "healthcheck"}
_IGNORED: Final = {"restart"}
"""A part that ends has to stay ended: a test wants to see it."""


@dataclass(frozen=True, slots=True)
class Mount:
    """``source`` is a path of this machine, or the name of a volume."""

    source: str
    target: str
    mode: str
    named: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A service with its variables filled in. ``ports`` are the container's; ``health`` is a command."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    ports: tuple[int, ...]
    extra_hosts: Mapping[str, str]
    health: tuple[str, ...] | None
    needs: tuple[str, ...]


def services(file: Path, variables: Mapping[str, str]) -> list[Service]:
    """The services of a file, each after those that it depends on.

    Raises:
        ValueError: a service has a key that this reader does not know.
    """
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = {name: _service(name, _filled(body, variables), file.parent) for name, body in document["services"].items()}
    return list(_ordered(found))


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """``value`` with ``${NAME:-default}`` replaced in all its strings."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: variables.get(match[1]) or match[2], value)
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    return value


def _service(name: str, body: Mapping[str, Any], directory: Path) -> Service:
    if unknown := set(body) - _KEYS - _IGNORED:
        raise ValueError(f"services.{name}: {', '.join(sorted(unknown))} cannot be read")
    return Service(
        name=name,
        image=body["image"],
        command=tuple(body.get("command", ())),
        environment=body.get("environment", {}),
        mounts=tuple(_mount(text, directory) for text in body.get("volumes", ())),
        ports=tuple(int(text.rpartition(":")[2]) for text in body.get("ports", ())),
        extra_hosts=dict(text.split(":", 1) for text in body.get("extra_hosts", ())),
        health=_health(body.get("healthcheck")),
        needs=tuple(body.get("depends_on", ())),
    )


def _mount(text: str, directory: Path) -> Mount:
    source, target, *mode = text.split(":")
    named = not source.startswith(".")
    return Mount(source if named else str(directory / source), target, mode[0] if mode else "rw", named)


def _health(check: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    if check is None:
        return None
    kind, *command = check["test"]
    if kind != "CMD":
        raise ValueError(f"healthcheck.test: {kind} cannot be read")
    return tuple(command)


def _ordered(found: Mapping[str, Service]) -> Iterator[Service]:
    done: set[str] = set()
    while len(done) < len(found):
        ready = [s for s in found.values() if s.name not in done and done.issuperset(s.needs)]
        if not ready:
            raise ValueError("services depend on each other in a circle")
        yield from ready
        done.update(s.name for s in ready)

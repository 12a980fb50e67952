"""``llmroute generate``: the configuration of a target, to files or standard output."""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from llmroute.cli.exits import FINDINGS, Failure, Usage
from llmroute.cli.inputs import STDIN, read_all, show
from llmroute.diagnostic import has_errors
from llmroute.emit import Artifact, default_options
from llmroute.emit.stamp import MADE
from llmroute.pipeline import compile_policies
from llmroute.targets import EG_VERSIONS, ENGINES, ENVOY_GATEWAY, LUA, TARGETS, WASM, capabilities

_URL: Final = re.compile(r"https?://[^/\s]+/\S+|oci://[^/\s]+/\S+")
_PIECE: Final = 1 << 20
"""Characters that are written at once."""


@click.command("generate")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("-o", "--output", default=STDIN, metavar="DIR", help="Write files below DIR; '-' is standard output.")
@click.option("--target", type=click.Choice(TARGETS), default=ENVOY_GATEWAY, show_default=True)
@click.option("--eg-version", type=click.Choice(EG_VERSIONS), default=EG_VERSIONS[-1], show_default=True)
@click.option("--engine", type=click.Choice(ENGINES), default=LUA, show_default=True, help="What the filter runs on.")
@click.option(
    "--wasm-url", metavar="URL", help="Where Envoy Gateway gets the module: http(s)://…, oci://REGISTRY/NAME:TAG."
)
@click.option("--check", "checking", is_flag=True, help="Write nothing; exit with 1 if DIR has something else.")
@click.option("--access-log", metavar="PATH", help="Envoy writes a line of JSON there for each request: /dev/stdout.")
@click.option("--usage-counters", is_flag=True, help="Envoy counts usage among its statistics.")
def command(  # noqa: PLR0913, PLR0917 one parameter per option
    files: Sequence[str],
    output: str,
    target: str,
    eg_version: str,
    engine: str,
    wasm_url: str | None,
    checking: bool,  # noqa: FBT001 click's call
    access_log: str | None,
    usage_counters: bool,  # noqa: FBT001 click's call
) -> None:
    """Write the configuration for a target. '-' reads standard input."""
    if checking and output == STDIN:
        raise Usage("--check compares with what is in a directory: say -o DIR")
    if target == ENVOY_GATEWAY and (access_log or usage_counters):
        raise Usage(
            "--access-log and --usage-counters are a plain Envoy's: for Envoy Gateway see docs/observability.md"
        )
    _check_url(target, engine, wasm_url)
    version = eg_version if target == ENVOY_GATEWAY else None
    options = dataclasses.replace(default_options(target), access_log=access_log, usage_counters=usage_counters)
    compiled = compile_policies(read_all(files), capabilities(target, version, engine, wasm_url), options=options)
    show(compiled.diagnostics, err=True)
    if has_errors(compiled.diagnostics):
        raise click.exceptions.Exit(FINDINGS)
    if checking:
        _compare(compiled.artifacts, Path(output))
    elif output == STDIN:
        click.echo(_stream(compiled.artifacts), nl=False)
    else:
        _write_all(compiled.artifacts, Path(output))


def _check_url(target: str, engine: str, url: str | None) -> None:
    fetches = (target, engine) == (ENVOY_GATEWAY, WASM)
    if url is None:
        if fetches:
            raise Usage(
                "Envoy Gateway has to get the module from somewhere: say --wasm-url; `llmroute wasm export` writes it"
            )
    elif not fetches:
        raise Usage(
            f"--wasm-url is for --target {ENVOY_GATEWAY} --engine {WASM}: others have the module in their output"
        )
    elif not _URL.fullmatch(url):
        raise Usage(f"--wasm-url {url}: it has to be http://…, https://… or, for an image, oci://REGISTRY/NAME:TAG")


def _stream(artifacts: Sequence[Artifact]) -> str:
    if len(artifacts) == 1:
        return artifacts[0].text
    return "---\n".join(f"# File: {artifact.path}\n{artifact.text}" for artifact in artifacts)


def _compare(artifacts: Sequence[Artifact], directory: Path) -> None:
    """Name each file that is not current; ``Failure`` if there is one."""
    stale = [line for artifact in artifacts if (line := _unlike(directory / artifact.path, artifact.text))]
    stale += [f"left over: {path}" for path in _left_over(artifacts, directory)]
    for line in stale:
        click.echo(line)
    if stale:
        raise Failure(f"{directory} is not current: run the same without --check, and delete what is left over")


def _unlike(path: Path, text: str) -> str:
    try:
        return "" if path.read_bytes() == text.encode() else f"stale: {path}"
    except FileNotFoundError:
        return f"missing: {path}"
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from error


def _left_over(artifacts: Sequence[Artifact], directory: Path) -> list[Path]:
    """Files of ours, by their stamp, in folders that are ours: of a route that is gone, and still in force."""
    wanted = {directory / artifact.path for artifact in artifacts}
    folders = {path.parent for path in wanted} - {directory}
    beside = (path for folder in sorted(folders) for path in sorted(folder.glob("*.yaml")))
    return [p for p in beside if p not in wanted and p.is_file() and p.read_bytes().startswith(f"# {MADE}".encode())]


def _write_all(artifacts: Sequence[Artifact], directory: Path) -> None:
    """All files or none: each is written beside its place first, then all are moved there."""
    pending: list[tuple[Path, Path]] = []
    for artifact in artifacts:
        if (directory / artifact.path).is_dir():
            raise Failure(f"cannot write {directory / artifact.path}: it is a directory")
    try:
        for artifact in artifacts:
            path = directory / artifact.path
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            pending.append((Path(name), path))
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                # A thousand routes are 60 MB; at once they would be held a second time, as bytes.
                file.writelines(artifact.text[at : at + _PIECE] for at in range(0, len(artifact.text), _PIECE))
            if not artifact.secret:
                os.chmod(name, 0o644)  # noqa: PTH101 mkstemp's 0600 is for secrets
        for temporary, path in pending:
            temporary.replace(path)
    except OSError as error:
        raise Failure(f"cannot write below {directory}: {error.strerror}") from error
    finally:
        for temporary, _ in pending:
            temporary.unlink(missing_ok=True)

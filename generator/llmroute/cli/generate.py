"""``llmroute generate``: the configuration of a target, to files or standard output."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from llmroute.cli.exits import FINDINGS, Failure
from llmroute.cli.inputs import STDIN, read_all, show
from llmroute.diagnostic import has_errors
from llmroute.emit import Artifact
from llmroute.pipeline import compile_policies
from llmroute.targets import EG_VERSIONS, ENVOY_GATEWAY, TARGETS, capabilities


@click.command("generate")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("-o", "--output", default=STDIN, metavar="DIR", help="Write files below DIR; '-' is standard output.")
@click.option("--target", type=click.Choice(TARGETS), default=ENVOY_GATEWAY, show_default=True)
@click.option("--eg-version", type=click.Choice(EG_VERSIONS), default=EG_VERSIONS[-1], show_default=True)
def command(files: Sequence[str], output: str, target: str, eg_version: str) -> None:
    """Write the configuration for a target. '-' reads standard input."""
    version = eg_version if target == ENVOY_GATEWAY else None
    compiled = compile_policies(read_all(files), capabilities(target, version))
    show(compiled.diagnostics, err=True)
    if has_errors(compiled.diagnostics):
        raise click.exceptions.Exit(FINDINGS)
    if output == STDIN:
        click.echo(_stream(compiled.artifacts), nl=False)
    else:
        _write_all(compiled.artifacts, Path(output))


def _stream(artifacts: Sequence[Artifact]) -> str:
    if len(artifacts) == 1:
        return artifacts[0].text
    return "---\n".join(f"# File: {artifact.path}\n{artifact.text}" for artifact in artifacts)


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
                file.write(artifact.text)
            if not artifact.secret:
                os.chmod(name, 0o644)  # noqa: PTH101 mkstemp's 0600 is for secrets
        for temporary, path in pending:
            temporary.replace(path)
    except OSError as error:
        raise Failure(f"cannot write below {directory}: {error.strerror}") from error
    finally:
        for temporary, _ in pending:
            temporary.unlink(missing_ok=True)

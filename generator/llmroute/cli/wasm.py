"""``llmroute wasm``: the filter's module, for a web server or a registry from which Envoy Gateway gets it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from llmroute.cli.exits import Failure, Usage
from llmroute.cli.inputs import STDIN
from llmroute.render.oci import module_image
from llmroute.render.wasm import filter_module


@click.group("wasm")
def command() -> None:
    """Hand out the filter's wasm module."""


@command.command("export")
@click.option("-o", "--output", default=STDIN, metavar="FILE", help="Write FILE; '-' is standard output.")
@click.option("--oci", metavar="DIR", help="Write an OCI image layout into DIR, and print the image's digest.")
def export(output: str, oci: str | None) -> None:
    """Write the module, or an image of it."""
    if oci is not None:
        if output != STDIN:
            raise Usage("-o and --oci are two ways to have it: say one")
        image = module_image()
        for path, content in image.files.items():
            _write(Path(oci) / path, content)
        click.echo(f"sha256:{image.digest}")
    elif output != STDIN:
        _write(Path(output), filter_module())
    elif sys.stdout.isatty():
        raise Usage("a terminal cannot show a module: say -o FILE")
    else:
        sys.stdout.buffer.write(filter_module())


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from error

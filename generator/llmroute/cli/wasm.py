"""``llmroute wasm``: the filter's modules, for a web server or a registry from which Envoy Gateway gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from llmroute.cli.exits import FINDINGS, Failure
from llmroute.cli.inputs import read_all, show
from llmroute.diagnostic import has_errors
from llmroute.emit.extension_policy import modules_of
from llmroute.pipeline import judge_policies
from llmroute.render.oci import layout, module_image
from llmroute.targets import ENVOY_GATEWAY, WASM, capabilities


@click.group("wasm")
def command() -> None:
    """Hand out the filter's wasm modules."""


@command.command("export")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="DIR", help="Where to write.")
@click.option("--oci", "images", is_flag=True, help="An OCI image layout, for a registry, instead of files.")
def export(files: Sequence[str], output: str, images: bool) -> None:  # noqa: FBT001 click's call
    """Write the modules that Envoy Gateway needs for policies, and say what they are called."""
    judged = judge_policies(read_all(files), capabilities(ENVOY_GATEWAY, engine=WASM))
    if has_errors(judged.diagnostics):
        show(judged.diagnostics, err=True)
        raise click.exceptions.Exit(FINDINGS)
    modules = [module for route in judged.plan.routes for module in modules_of(route)]
    if images:
        made = {module.name: module_image(module.content) for module in modules}
        _write(Path(output), layout(made))
        for tag, image in made.items():
            click.echo(f"{tag} sha256:{image.digest}")
    else:
        _write(Path(output), {f"{module.name}.wasm": module.content for module in modules})
        for module in modules:
            click.echo(f"{module.name}.wasm sha256:{module.digest}")


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, content in contents.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise Failure(f"cannot write {path}: {error.strerror}") from error

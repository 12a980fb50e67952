"""``llmroute schema``: the LLMRoute for editors, and for API servers."""

from __future__ import annotations

import json

import click

from llmroute.api.v1alpha1.crd import crd
from llmroute.api.v1alpha1.schema import json_schema
from llmroute.render.yaml import dump


@click.command("schema")
@click.option("--crd", "as_crd", is_flag=True, help="A CustomResourceDefinition, for kubectl apply.")
def command(as_crd: bool) -> None:  # noqa: FBT001 click's call
    """Print the JSON Schema of the LLMRoute, for editors."""
    click.echo(crd_text() if as_crd else schema_text(), nl=False)


def schema_text() -> str:
    """The JSON Schema as a file has it."""
    return json.dumps(json_schema(), indent=2) + "\n"


def crd_text() -> str:
    """The CustomResourceDefinition as a file has it."""
    return dump(crd())

"""The ``llmroute`` group: commands by name, loaded on demand, and no traceback for anyone."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Final

import click
from click.shell_completion import CompletionItem

from llmroute.cli.exits import COMPLETE, FINDINGS, Failure

_COMMANDS: Final = {
    "generate": "write the configuration for a target",
    "check": "say everything that is wrong with a policy",
    "explain": "say what the limits mean for one request",
    "status": "show the counters of a policy as they stand",
    "reset": "set one counter back to zero",
    "diff": "say what an edit does to limits and counters",
    "run": "serve a policy on a local Envoy",
    "schema": "print the schema of the LLMRoute, for editors and API servers",
    "completion": "print what a shell needs to complete commands",
    "wasm": "hand out the filter's wasm module",
    "krm": "carry out the LLMRoutes of a ResourceList, for kustomize and kpt",
    "demo": "show a refused request, from nothing",
    "conformance": "say whether a gateway's token limits are true",
}

_EXTRAS: Final = {"conformance": "conformance"}
"""Of commands that need another extra than ``local``."""


class _Lazy(click.Group):
    """Names and summaries are known without importing a command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        try:
            command: click.Command = importlib.import_module(f"llmroute.cli.{cmd_name}").command
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("llmroute"):
                raise
            if ctx.resilient_parsing:  # a shell asks for completions: no place for words
                return None
            extra = _EXTRAS.get(cmd_name, "local")
            remedy = f"install what it needs with: pip install 'llmroute[{extra}]'"
            raise Failure(f"{cmd_name} needs the package {error.name}; {remedy}") from error
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [CompletionItem(name, help=text) for name, text in _COMMANDS.items() if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 click's call
    if value:
        # All this costs time that --help need not pay.
        from llmroute import __version__  # noqa: PLC0415
        from llmroute.targets import ENVOY, ENVOY_GATEWAY, capabilities  # noqa: PLC0415

        click.echo(f"llmroute {__version__}")
        click.echo(f"proven with Envoy {capabilities(ENVOY).proven}")
        click.echo(f"proven with Envoy Gateway {capabilities(ENVOY_GATEWAY).proven}")
        ctx.exit()


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def _group() -> None:
    """Token limits for LLM traffic, on stock Envoy Gateway or a plain Envoy."""


def _called() -> str:
    """What the user wrote: kubectl finds ``kubectl-llmroute`` on PATH, and calls it for ``kubectl llmroute``."""
    return "kubectl llmroute" if os.path.basename(sys.argv[0]) == "kubectl-llmroute" else "llmroute"  # noqa: PTH119 pathlib costs time


def main() -> None:
    """Entry point of the console scripts; exits with the codes of ``exits``."""
    try:
        _group.main(prog_name=_called(), complete_var=COMPLETE, standalone_mode=True)
    except BrokenPipeError:
        # The reader went away (``llmroute generate … | head``); nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FINDINGS)
    except Exception as error:  # noqa: BLE001 the last resort: one line, not a traceback
        if os.environ.get("LLMROUTE_DEBUG"):
            traceback.print_exc()
        click.echo(f"llmroute: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("llmroute: this is a bug; LLMROUTE_DEBUG=1 shows where", err=True)
        sys.exit(FINDINGS)

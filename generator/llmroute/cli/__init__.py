"""The command line. Each command is a module, loaded when it is called; exit codes are in ``exits``."""

from llmroute.cli.app import main

__all__ = ["main"]

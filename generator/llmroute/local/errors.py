"""What can go wrong on this machine.

::

    LocalError
    ├── MissingTool        a program is not installed; says how to get it
    ├── StartError         a program or server did not come up; says its last words
    └── InvalidBootstrap   Envoy does not accept its configuration
"""

from __future__ import annotations


class LocalError(Exception):
    """Base of the errors of ``llmroute.local``; the message is for the person at the terminal."""


class MissingTool(LocalError):  # noqa: N818  # named by what is missing
    """A program is needed that is not installed."""


class StartError(LocalError):
    """A program or server did not become ready; the message ends with the last lines of its log."""


class InvalidBootstrap(LocalError):  # noqa: N818  # named by what is invalid
    """Envoy refuses a bootstrap; the message is Envoy's."""

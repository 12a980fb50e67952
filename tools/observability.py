"""Writes the access log for Envoy Gateway, and its twin for a plain Envoy, to ``manifests/observability/``.

With ``--check`` it writes nothing, says what is stale, and exits with 1 then. Alert rules and dashboard beside
them are written by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from llmroute.emit.telemetry import access_log, envoy_proxy, usage_counters
from llmroute.render.yaml import Comment, dump
from tools.written import ROOT, main

FOLDER: Final = ROOT / "manifests" / "observability"
ENVOY_PROXY: Final = FOLDER / "envoy-proxy.yaml"
ENVOY: Final = FOLDER / "envoy.yaml"
_GATEWAY: Final = """\
Made by tools/observability.py. For Envoy Gateway: name it in infrastructure.parametersRef of a Gateway, or in
parametersRef of a GatewayClass, or take spec.telemetry over into the EnvoyProxy that is there. Where a policy
says identity.header, put that header into user.id."""
_PLAIN: Final = """\
Made by tools/observability.py. For a plain Envoy: what generate --access-log /dev/stdout --usage-counters puts into
the HttpConnectionManager. The first is the twin of envoy-proxy.yaml, the others count."""


def outputs() -> dict[Path, str]:
    """The files and their text."""
    loggers = [access_log("/dev/stdout"), *usage_counters()]
    return {
        ENVOY_PROXY: dump(Comment(_GATEWAY, envoy_proxy())),
        ENVOY: dump(Comment(_PLAIN, {"access_log": loggers})),
    }


if __name__ == "__main__":
    sys.exit(main(outputs()))

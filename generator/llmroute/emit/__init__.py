"""Emitters: pure functions of the plan. One module per kind of artifact; ``emit`` chooses by target."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from llmroute.emit.artifact import Artifact
from llmroute.emit.compose import OPTIONS, compose
from llmroute.emit.envoy_static import EnvoyOptions, envoy_static
from llmroute.emit.gateway_stream import gateway_stream
from llmroute.emit.ratelimit_config import ratelimit_config
from llmroute.plan import Plan
from llmroute.source import Document
from llmroute.targets import COMPOSE, ENVOY_GATEWAY, Capabilities

__all__ = ["Artifact", "EnvoyOptions", "default_options", "emit"]


def default_options(target: str) -> EnvoyOptions:
    """What holds for the bootstrap of ``target`` unless somebody says otherwise."""
    return OPTIONS if target == COMPOSE else EnvoyOptions()


def emit(
    plan: Plan, documents: Sequence[Document], target: Capabilities, options: EnvoyOptions | None = None
) -> tuple[Artifact, ...]:
    """Every file of ``target`` for a plan without errors, with the filter on its engine.

    The same input gives the same bytes.
    """
    if target.target == ENVOY_GATEWAY:
        return (gateway_stream(plan, documents, target),)
    options = options or default_options(target.target)
    bootstrap = envoy_static(plan, dataclasses.replace(options, engine=target.engine))
    if target.target == COMPOSE:
        return (compose(secret=bootstrap.secret), bootstrap, *ratelimit_config(plan))
    return (bootstrap, *ratelimit_config(plan))

"""``aigateway.envoyproxy.io/v1alpha1``: the typed LLMRoute and its reader."""

from llmroute.api.v1alpha1.models import LLMRoute
from llmroute.api.v1alpha1.parse import Parsed, parse

__all__ = ["LLMRoute", "Parsed", "parse"]

"""The reference limiter: fixed windows in pure Python with an injected clock."""

from llmroute.limiter.config import ConfigError, Domain, Rate, parse
from llmroute.limiter.limiter import Code, Decision, Descriptor, Limiter, RequestError, Status
from llmroute.limiter.window import Clock, Unit

__all__ = [
    "Clock",
    "Code",
    "ConfigError",
    "Decision",
    "Descriptor",
    "Domain",
    "Limiter",
    "Rate",
    "RequestError",
    "Status",
    "Unit",
    "parse",
]

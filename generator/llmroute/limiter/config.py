"""The limits of a rate limit service, read from envoyproxy/ratelimit's own configuration format.

One YAML document per domain (https://github.com/envoyproxy/ratelimit#configuration)::

    domain: default/chat
    descriptors:
      - key: limit
        value: default/chat/0
        descriptors:
          - key: user                     # no value: every value has a counter of its own
            rate_limit: {unit: hour, requests_per_unit: 999, name: chat/0}
            shadow_mode: false

A key is either known on its level or refused. ``replaces``, ``quota_mode`` and ``share_threshold``
are refused as well: they change what is refused, and this reader does not honour them.
``detailed_metric`` and ``value_to_metric`` only name metrics and are read over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from llmroute.limiter.document import ConfigError, Fields, read
from llmroute.limiter.window import Unit

__all__ = ["ConfigError", "Domain", "Entry", "Limit", "Rate", "domains_of", "find_limit", "parse"]

MAX_RATE: Final = 2**32 - 1
"""Largest ``requests_per_unit``: it is a uint32 on the wire."""

Entry = tuple[str, str]
"""Key and value, as a descriptor carries them."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many hits per window; ``name`` is free text that answers repeat."""

    requests_per_unit: int
    unit: Unit
    name: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """What applies to a descriptor. ``rate`` is None for ``unlimited``; a shadow counts and never refuses."""

    rate: Rate | None
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """One level of a domain: the limit of the descriptors that end here, and what may follow.

    ``children`` are keyed by ``key_value``, or by ``key`` alone, in the file's order.
    """

    limit: Limit | None
    children: Mapping[str, Node]
    wildcards: tuple[str, ...]
    """Those of the children's keys that end in ``*``."""


@dataclass(frozen=True, slots=True)
class Domain:
    """All the limits of one domain."""

    name: str
    root: Node


def parse(text: str, file: str) -> Domain:
    """Read one configuration file; ``file`` is the name to say in errors.

    Raises:
        ConfigError: for the first thing that is wrong, with its line.
    """
    fields = read(text, file)
    fields.only("domain", "descriptors")
    name = fields.text("domain")
    if not name:
        raise fields.error("a configuration needs a domain")
    return Domain(name, _node(None, fields, name))


def domains_of(found: Iterable[Domain]) -> dict[str, Domain]:
    """Domains by name.

    Raises:
        ConfigError: when a name comes twice.
    """
    domains: dict[str, Domain] = {}
    for domain in found:
        if domain.name in domains:
            raise ConfigError(f"two configurations for the domain {domain.name!r}")
        domains[domain.name] = domain
    return domains


def find_limit(domain: Domain, entries: Iterable[Entry]) -> Limit | None:
    """Find the limit for a descriptor; None where the configuration has none of exactly its depth.

    On each level an entry is looked up as ``key_value``, then among the wildcards in the file's
    order, then by its key alone.
    """
    node: Node | None = domain.root
    for key, value in entries:
        if node is None:
            return None
        node = _step(node, key, value)
    return node.limit if node is not None and node is not domain.root else None


def _step(node: Node, key: str, value: str) -> Node | None:
    exact = f"{key}_{value}"
    if (found := node.children.get(exact)) is not None:
        return found
    for wildcard in node.wildcards:
        if exact.startswith(wildcard.removesuffix("*")):
            return node.children[wildcard]
    return node.children.get(key)


def _node(limit: Limit | None, fields: Fields, path: str) -> Node:
    children: dict[str, Node] = {}
    for item in fields.items("descriptors"):
        item.only(*_DESCRIPTOR, without=_NOT_HONOURED)
        key, value = item.text("key"), item.text("value")
        if not key:
            raise item.error("a descriptor needs a key")
        composite = f"{key}_{value}" if value else key
        if composite in children:
            raise item.error(f"duplicate descriptor {path}.{composite}")
        children[composite] = _node(_limit(item), item, f"{path}.{composite}")
    return Node(limit, children, tuple(key for key in children if key.endswith("*")))


_NOT_HONOURED: Final = ("quota_mode", "replaces", "share_threshold")
_DESCRIPTOR: Final = (
    *("key", "value", "rate_limit", "descriptors", "shadow_mode"),
    *("detailed_metric", "value_to_metric"),
)


def _limit(item: Fields) -> Limit | None:
    shadow = item.flag("shadow_mode")
    fields = item.mapping("rate_limit")
    if fields is None:
        return None
    fields.only("unit", "requests_per_unit", "unlimited", "name", without=_NOT_HONOURED)
    unit, name = fields.text("unit"), fields.text("name")
    if fields.flag("unlimited"):
        if unit:
            raise fields.error("an unlimited descriptor takes no unit")
        return Limit(None, shadow)
    if unit.upper() not in Unit.__members__:
        known = ", ".join(sorted(Unit.__members__, key=lambda name: Unit[name].seconds)).lower()
        raise fields.error(f"invalid rate limit unit {unit!r}; known are {known}")
    return Limit(Rate(fields.number("requests_per_unit", MAX_RATE), Unit[unit.upper()], name), shadow)

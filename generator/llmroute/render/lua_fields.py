"""Which fields of a script are its own, so that they may have other names, the same in all of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from llmroute.render.lua_scopes import Names
from llmroute.render.lua_tokens import Kind, Token

# What comes from outside keeps its name. First Envoy's objects.
_HANDLE: Final = frozenset(
    {"headers", "body", "bodyChunks", "trailers", "metadata", "streamInfo", "connection", "filterContext"}
    | {"connectionStreamInfo", "httpCall", "respond", "clearRouteCache", "importPublicKey", "verifySignature"}
    | {"base64Escape", "timestamp", "timestampString", "setUpstreamOverrideHost", "virtualHost", "route"}
    | {"logTrace", "logDebug", "logInfo", "logWarn", "logErr", "logCritical"}
)
_OBJECTS: Final = frozenset(
    {"get", "set", "add", "remove", "replace", "getNumValues", "getAtIndex", "setHttp1ReasonPhrase", "iterate"}
    | {"length", "getBytes", "setBytes", "ssl", "protocol", "routeName", "virtualClusterName", "filterState"}
    | {"dynamicMetadata", "dynamicTypedMetadata", "downstreamLocalAddress", "downstreamRemoteAddress"}
    | {"downstreamDirectLocalAddress", "downstreamDirectRemoteAddress", "downstreamSslConnection"}
    | {"requestedServerName", "drainConnectionUponCompletion"}
)
# What the route tells the filter: emit/filter_context.py, emit/charges.py and emit/settle.py.
_CONTEXT: Final = frozenset(
    {"route", "version", "modelHeader", "defaults", "limits", "usage", "maxTokens", "costs", "metadata", "identity"}
    | {"backendHeader", "backends", "bodyLimit", "settle"}
    | {"reported", "window", "kind", "quantity", "unit", "what"}
    | {"onMissing", "fixedTokens", "onDisconnect", "includeUsage"}
    | {"key", "scale", "prompt", "cachedPrompt", "cacheWrite", "completion", "reasoning"}
    | {"header", "namespace", "path", "default", "name", "models"}
    | {"cluster", "domain", "timeoutMs", "headers", "due", "entries", "match", "value"}
    | {"prepay", "check", "of", "holds", "held", "paid", "refund"}
)
# Texts have these as methods.
_STRING: Final = frozenset(
    {"byte", "char", "dump", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse"}
    | {"sub", "upper"}
)
EXTERNAL: Final = _HANDLE | _OBJECTS | _CONTEXT | _STRING
"""Fields and methods that others know, too."""

_NAMES: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
_CLOSED: Final = frozenset({",", ";", "}"})


def short_fields(sources: Sequence[tuple[Sequence[Token], Names]], modules: Iterable[str]) -> dict[str, str]:
    """Short names for fields of these sources; names of the modules are globals to them.

    The first letter, with a number when another has that; fields that are used more come first. It is safe when no
    table is read under a computed name by which a field of it was set. So these keep their names: what is
    ``EXTERNAL``; members of globals that are no modules; what a text of the script spells, by itself or in a path
    with dots; what a table is given and nobody reads by its name; and what is ``true`` in a table, which may be a
    set. What Lua looks for itself begins with ``__``.
    """
    own = frozenset(modules)
    used: Counter[str] = Counter()
    read: set[str] = set()
    kept = set(EXTERNAL)
    for tokens, names in sources:
        kept.update(_spelt(tokens), _foreign(tokens, names, own), _members_of_sets(tokens, names))
        fields = [place for place, token in enumerate(tokens) if token.kind is Kind.NAME and place not in names]
        used.update(tokens[place].text for place in fields)
        read.update(tokens[place].text for place in fields if tokens[place - 1].text in {".", ":"})
    kept.update(name for name in used if name not in read or name.startswith("__"))
    # Never the name of another field either, so that nobody has to know which of the two is meant.
    taken = kept | used.keys()
    short: dict[str, str] = {}
    for name in sorted(used.keys() - kept, key=lambda name: (-used[name], name)):
        if new := next((new for new in _shorter(name) if new not in taken), None):
            short[name] = new
            taken.add(new)
    return short


def _shorter(name: str) -> list[str]:
    numbered = (f"{name[0]}{number}" for number in range(2, 1000))
    return [new for new in (name[0], *numbered) if len(new) < len(name)]


def _spelt(tokens: Sequence[Token]) -> set[str]:
    """The names that texts hold which hold nothing else."""
    texts = [token.text for token in tokens if token.kind is Kind.STRING]
    bare = [text.strip("[=]\n") if text[0] == "[" else text[1:-1] for text in texts]
    return {name for text in bare if _NAMES.fullmatch(text) for name in text.split(".")}


def _foreign(tokens: Sequence[Token], names: Names, own: frozenset[str]) -> set[str]:
    """Members of globals that are no modules, and their members."""
    places = {place for place, local in names.items() if local is None and tokens[place].text not in own}
    found: set[str] = set()
    for place, token in enumerate(tokens):
        if token.text in {".", ":"} and place - 1 in places:
            places.add(place + 1)
            found.add(tokens[place + 1].text)
    return found


def _members_of_sets(tokens: Sequence[Token], names: Names) -> set[str]:
    """Keys that are true in the table that they are written in."""
    return {
        token.text
        for place, token in enumerate(tokens)
        if token.kind is Kind.NAME
        and place not in names
        and [after.text for after in tokens[place + 1 : place + 3]] == ["=", "true"]
        and tokens[place + 3].text in _CLOSED
    }

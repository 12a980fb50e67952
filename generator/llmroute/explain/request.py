"""A request as the limits see it, once the filter has had it: every selected header with one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmroute import names
from llmroute.explain.refusal import Api
from llmroute.plan import Backend, Route


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client sends; None is what it leaves out.

    ``user`` is who it turns out to be, whatever that is read from. ``headers`` are by lower-case name, ``metadata`` is
    what other filters find out, by its path with dots. ``prompt`` is in tokens.
    """

    model: str | None = None
    user: str | None = None
    backend: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    api: Api = Api.OPENAI
    prompt: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The same behind the filter. ``headers`` are all that a limit of the route can select on."""

    sent: Sent
    backend: Backend
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A request that the gateway answers before any limit is asked: HTTP ``status``, and why."""

    status: int
    why: str


def asked(route: Route, sent: Sent) -> Asked | TurnedAway:
    """What becomes of a request that comes to ``route``."""
    said = {name: text for name, value in sent.headers.items() if (text := _usable(value))}
    known = {name: text for name, value in sent.metadata.items() if (text := _usable(value))}
    verified = route.identity.jwt or route.identity.api_key
    user = _usable(sent.user) or (None if verified else said.get(route.identity.header))
    if user is None and route.identity.reject:
        return TurnedAway(401, f"nobody is named in {route.identity.header}, and spec.identity says onMissing: Reject")
    model = _usable(sent.model)
    if model is None or len(model.encode()) > names.MAX_MODEL_BYTES:
        model = names.UNKNOWN
    chosen = _backend(route, model, _usable(sent.backend) or said.get(names.BACKEND_HEADER))
    if isinstance(chosen, TurnedAway):
        return chosen
    headers = {header: said.get(header, default) for header, default in route.header_defaults}
    headers |= {h.header: known.get(".".join(h.path), h.default) for h in route.metadata_headers}
    headers |= {route.identity.header: user or names.ANONYMOUS, names.MODEL_HEADER: model}
    return Asked(sent, chosen, headers)


def _usable(value: str | None) -> str | None:
    """A value as a header can carry it: blanks around it gone; None when nothing is left or a header cannot."""
    text = (value or "").strip(" \t")
    return None if not text or any(ord(c) < 0x20 or ord(c) == 0x7F for c in text) else text


def _backend(route: Route, model: str, named: str | None) -> Backend | TurnedAway:
    by_name = {backend.name: backend for backend in route.backends}
    if named in by_name:
        return by_name[named]
    if named and (route.routes_by_model or not route.takes_unnamed):
        return TurnedAway(404, f"the LLMRoute {route.name} has no backend {named}")
    if not route.routes_by_model:
        if route.takes_unnamed:
            return route.backends[0]
        return TurnedAway(404, f"the request names none of the backends {', '.join(by_name)} in {names.BACKEND_HEADER}")
    serving = [b for wanted in (model, names.REST) for b in route.backends if wanted in b.models]
    return serving[0] if serving else TurnedAway(404, f"no backend serves the model {model}, and none takes the rest")

"""How a case is read for a gateway with another admission rule.

Cases say what holds where a request is admitted while ``used < limit``. A gateway that admits while ``used <= limit``
does just that with a quantity one less; one that holds what a request may take, and admits while
``used + hold <= limit``, does it with a quantity that is the hold of a request more, less one. Then the same requests
pass and the same are refused, and only what answers say of quantity and remainder differs by that much. Where the first
rule has no such quantity, for 0, ``applies`` says so; a gateway that holds refuses everything at 0, as cases have it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import yaml

from llmroute import names
from llmroute.conformance.adapters.protocol import Adapter, Holding
from llmroute.conformance.case import REFUSED, Case, Request, Send, Step
from llmroute.conformance.features import Admission
from llmroute.render.yaml import dump, join

Hold = Callable[[int, Request], int]
"""What is held for a request, by the least quantity that it is under."""
_OF_TOKENS: Final = "Token"


def read_at(case: Case, adapter: Adapter) -> Case:
    """The case for this gateway."""
    return read_for(case, adapter.admission, adapter.hold if isinstance(adapter, Holding) else None)


def read_for(case: Case, admission: Admission, hold: Hold | None = None) -> Case:
    """The case for a gateway with this rule.

    Raises:
        ValueError: the gateway holds, and nobody says how much.
    """
    if admission is Admission.BELOW or case.admission is not None:
        return case
    documents = [document for document in yaml.safe_load_all(case.policy) if document]
    if admission is Admission.UP_TO:
        return _moved(case, documents, -1, tokens_alone=False)
    if hold is None:
        raise ValueError(f"a gateway that admits while {admission} has to say how much it holds")
    quantities = [q for document in documents for q in _quantities(document) if q]
    more = min((_room(min(quantities), hold, request) for request in _refused(case)), default=0) if quantities else 0
    return _moved(case, documents, more, tokens_alone=True)


def _refused(case: Case) -> Iterator[Request]:
    """The requests for which nothing may be left; any, where none is refused."""
    sent = [step for step in case.steps if isinstance(step, Send)]
    refused = [step.request for step in sent if step.expect.statuses == (REFUSED,) and not step.expect.reached]
    yield from refused or [Request()]


def _room(quantity: int, hold: Hold, request: Request) -> int:
    """How much more a limit must be for requests to pass until ``quantity`` is used: their hold, but for one token.

    The hold may itself grow with the limit; it is the least that fits.
    """
    more = 0
    while (needed := hold(quantity + more, request) - 1) > more:
        more = needed
    return more


def _quantities(value: Any) -> Iterator[int]:
    """Of the limits of tokens."""
    if isinstance(value, Mapping):
        if "quantity" in value:
            yield from [value["quantity"]] if value.get("type") == _OF_TOKENS else []
        for each in value.values():
            yield from _quantities(each)
    elif isinstance(value, list):
        for each in value:
            yield from _quantities(each)


def _moved(case: Case, documents: list[dict[str, Any]], by: int, *, tokens_alone: bool) -> Case:
    """The same with so much more of each quantity, or of each of tokens that is not 0."""

    def inside(value: Any) -> Any:
        if isinstance(value, Mapping):
            moves = not tokens_alone or (value.get("type") == _OF_TOKENS and value.get("quantity"))
            return {k: v + by if k == "quantity" and moves else inside(v) for k, v in value.items()}
        return [inside(each) for each in value] if isinstance(value, list) else value

    policy = join(dump(inside(d) if d["kind"] == names.KIND else d) for d in documents)
    return dataclasses.replace(case, policy=policy, steps=tuple(_said(step, by) for step in case.steps))


def _said(step: Step, by: int) -> Step:
    if not isinstance(step, Send) or step.expect.left is None:
        return step
    return dataclasses.replace(step, expect=dataclasses.replace(step.expect, left=step.expect.left + by))

"""Which of two limits on the same requests refuses first, whatever comes."""

from __future__ import annotations

from dataclasses import astuple

from llmroute.plan import Limit


def never_later(one: Limit, other: Limit) -> bool:
    """Whether ``one`` refuses whatever ``other`` would refuse, of requests that both count alike.

    Then its counter is never behind and its quantity no greater. Its counter is never behind when it counts as much of
    each request, in windows that the other's lie in. A shorter window proves nothing: what was in flight when it
    was used up comes on top, and refused requests move the request counters beside it.
    """
    if one.quantity == 0:
        return True
    nested = one.unit.seconds % other.unit.seconds == 0
    return nested and one.quantity <= other.quantity and _counts_as_much(one, other)


def _counts_as_much(one: Limit, other: Limit) -> bool:
    if one.kind is not other.kind:
        return False
    return all(a >= b for a, b in zip(astuple(one.costs), astuple(other.costs), strict=True))

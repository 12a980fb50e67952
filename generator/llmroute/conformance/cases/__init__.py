"""The cases, in the order in which reports have them. A module for each subject; each gives its cases as values."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from llmroute.conformance.case import Case, Profile
from llmroute.conformance.cases import (
    accounting,
    client_contract,
    concurrency,
    faults,
    formats,
    isolation,
    levels,
    prices,
    quantities,
    streaming,
    users,
    windows,
)

_MODULES = (
    quantities,
    users,
    levels,
    prices,
    windows,
    streaming,
    formats,
    accounting,
    isolation,
    client_contract,
    concurrency,
    faults,
)


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every case, profile by profile.

    Raises:
        ValueError: an id is used twice.
    """
    found = [case for module in _MODULES for case in module.cases()]
    ids = [case.id for case in found]
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        raise ValueError(f"ids of cases that are used twice: {', '.join(twice)}")
    order = list(Profile)
    return tuple(sorted(found, key=lambda case: order.index(case.profile)))


def chosen(profiles: Iterable[Profile] = (), ids: Iterable[str] = ()) -> tuple[Case, ...]:
    """The cases of these profiles (all where none is given), of these ids (all where none is given)."""
    wanted, named = set(profiles), set(ids)
    return tuple(
        case for case in all_cases() if (not wanted or case.profile in wanted) and (not named or case.id in named)
    )

"""What the samples say: spreads, and differences and ratios within one repetition, where the machine was the same for both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from e2e.cost.raw import Compilation, Memory, Raw, Sample
from tools.spread import Spread, spread

Measure = Callable[[Sample], float]
"""One figure of a sample."""


def cpu(*parts: str) -> Measure:
    """CPU seconds for 1,000 requests of these parts together; of all without a name."""
    return lambda sample: sum(seconds for part, seconds in sample.cpu.items() if not parts or part in parts)


def latency(quantile: str) -> Measure:
    """Milliseconds until an answer's end."""
    return lambda sample: sample.latency[quantile]


def first(quantile: str) -> Measure:
    """Milliseconds until the first byte of a body."""
    return lambda sample: sample.first[quantile]


def alone(raw: Raw, gateway: str, load: str, measure: Measure) -> Spread:
    """Over the repetitions.

    Raises:
        statistics.StatisticsError: this load was not driven through this gateway.
    """
    return spread([measure(sample) for sample in raw.of(gateway, load)])


def added(raw: Raw, gateway: str, base: str, load: str, measure: Measure) -> Spread:
    """What the gateway has more than ``base``."""
    return spread([measure(one) - measure(other) for one, other in _pairs(raw, gateway, base, load)])


def ratio(raw: Raw, gateway: str, base: str, load: str, measure: Measure) -> Spread:
    """How many times as much as ``base`` the gateway has."""
    return spread([measure(one) / measure(other) for one, other in _pairs(raw, gateway, base, load)])


def _pairs(raw: Raw, gateway: str, base: str, load: str) -> Iterator[tuple[Sample, Sample]]:
    return zip(raw.of(gateway, load), raw.of(base, load), strict=True)


def held(raw: Raw, gateway: str, base: str | None = None) -> Spread:
    """MiB with the streams open; beyond those of ``base``, where it is given, in the same repetition."""
    values = [each.holding for each in _memory(raw, gateway)]
    if base is not None:
        values = [value - other.holding for value, other in zip(values, _memory(raw, base), strict=True)]
    return spread(values)


def at_rest(raw: Raw, gateway: str) -> Spread:
    """MiB before any request."""
    return spread([each.at_rest for each in _memory(raw, gateway)])


def _memory(raw: Raw, gateway: str) -> list[Memory]:
    return [each for each in raw.memory if each.gateway == gateway]


def by_size(compilations: Iterable[Compilation]) -> dict[int, Sequence[Compilation]]:
    """Of each number of LLMRoutes, the fewest first."""
    found = defaultdict[int, list[Compilation]](list)
    for each in compilations:
        found[each.routes].append(each)
    return dict(sorted(found.items()))


def each_more(compilations: Iterable[Compilation]) -> dict[int, float]:
    """CPU milliseconds for each LLMRoute beyond the first, by their number: of a linear compiler the same for all."""
    cpu_of = {size: spread([each.cpu for each in of]).median for size, of in by_size(compilations).items()}
    (least, start), *more = cpu_of.items()
    return {size: (seconds - start) / (size - least) * 1000 for size, seconds in more}

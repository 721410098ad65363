"""Indices of fairness of plain numbers, one per user: what each of them means, between which bounds.

A *benefit* is a number at least 0 of which more is better (1 / slowdown); a *cost* is one of which less is better.
Infinite values are taken in the limit: beside them finite ones count as nothing. Where an index has no value (no
users, nothing to compare) it is nan. All raise `RunError` for a nan or a negative number.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

from layerlift.emulator.results.sums import variation
from layerlift.models.errors import RunError

NOTHING = math.nan


def jain(benefits: Iterable[float]) -> float:
    """Jain's index (sum x)^2 / (n sum x^2), in [1/n, 1]: 1 when all have the same, k/n when k have it all alike.

    Without unit; the same for x and c x, and for a population and two copies of it. All 0 is equal: 1.
    Source: R. Jain, D. Chiu, W. Hawe, DEC-TR-301, 1984; its family of axioms: Lan, Kao, Chiang, Sabharwal,
    arXiv 0906.0557.
    """
    values = _scaled(benefits)
    if not values:
        return NOTHING
    squares = math.fsum(value * value for value in values)
    return _clip(math.fsum(values) ** 2 / (len(values) * squares)) if squares else 1.0


def min_max_ratio(benefits: Iterable[float]) -> float:
    """Return the smallest over the largest, in [0, 1]: 1 when all have the same (0 included).

    Source: the min-max ratio of Vu et al., arXiv 2201.00910.
    """
    values = _scaled(benefits)
    if not values:
        return NOTHING
    return min(values) / max(values) if max(values) else 1.0


def gini(benefits: Iterable[float]) -> float:
    """Gini's coefficient sum_ij |x_i - x_j| / (2 n^2 mean), in [0, 1 - 1/n]: 0 when all have the same.

    Without unit; the same for x and c x, and for a population and copies of it. All 0 is equal: 0.
    Source: C. Gini, Variabilita e mutabilita, 1912.
    """
    values = sorted(_scaled(benefits))
    count, total = len(values), math.fsum(values)
    if not values:
        return NOTHING
    if not total:
        return 0.0
    ranked = math.fsum((2 * rank - count + 1) * value for rank, value in enumerate(values))
    return _clip(ranked / (count * total))


def alpha_welfare(benefits: Iterable[float], alpha: float) -> float:
    """Alpha-fair welfare: sum x^(1-a)/(1-a); a = 1 is sum log x (proportional), a = inf is min x (max-min).

    a = 0 is the total. In units of x^(1-a), so only comparable at one alpha. Anybody with 0 makes it -inf for
    alpha >= 1. Raises `RunError` for alpha < 0.
    Source: J. Mo, J. Walrand, IEEE/ACM Transactions on Networking 8(5), 2000.
    """
    values = _checked(benefits)
    if math.isnan(alpha) or alpha < 0:
        raise RunError(f"alpha is {alpha}, expected a number of at least 0 (0: total, 1: proportional, inf: max-min)")
    if not values:
        return NOTHING
    if alpha == math.inf:
        return min(values)
    if alpha >= 1 and min(values) == 0:
        return -math.inf
    if alpha == 1:
        return math.fsum(math.log(value) for value in values)
    return math.fsum(_power(value, 1 - alpha) for value in values) / (1 - alpha)


def even_equivalent(benefits: Iterable[float], alpha: float) -> float:
    """Return the benefit that, given to everyone alike, has the same alpha-fair welfare.

    In units of the benefit and in [min, mean]: the mean for alpha = 0, the geometric mean for 1, the minimum for inf.
    The same for a population and copies of it, so that runs of different sizes compare.
    Source: A. B. Atkinson, Journal of Economic Theory 2(3), 1970 (equally distributed equivalent).
    """
    values = _checked(benefits)
    finite = [value for value in values if value < math.inf]
    if not values or alpha == math.inf:
        return alpha_welfare(values, alpha)
    if not finite or (alpha <= 1 and len(finite) < len(values)):
        return 0.0 if alpha == 1 and min(values) == 0 else math.inf
    scale = max(finite) or 1.0
    welfare = alpha_welfare([value / scale for value in values], alpha) / len(values)
    if math.isinf(welfare):
        return min(values)
    even = math.exp(welfare) if alpha == 1 else _power((1 - alpha) * welfare, 1 / (1 - alpha))
    return min(max(even * scale, min(values)), max(values))


def coefficient_of_variation(values: Iterable[float]) -> float:
    """Standard deviation (of the whole population) over the mean, in [0, sqrt(n - 1)]: 0 when all are the same.

    Without unit; of utilisations it is the imbalance of the nodes. All 0 is balanced: 0.
    Its link to Jain's index: jain = 1 / (1 + cv^2).
    """
    scaled = _scaled(values)
    return variation(scaled) if scaled else NOTHING


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation, in [-1, 1]: Pearson's of the ranks, where equals share the mean of theirs.

    nan with fewer than two pairs or when one side has only equals. Raises `RunError` for sides of different lengths.
    Source: C. Spearman, American Journal of Psychology 15, 1904; ties as in M. G. Kendall, Rank Correlation Methods.
    """
    if len(first) != len(second):
        raise RunError(f"a rank correlation of {len(first)} with {len(second)} values: expected as many of both")
    ranks = _ranks(first), _ranks(second)
    middle = (len(first) + 1) / 2
    left, right = ([rank - middle for rank in side] for side in ranks)
    scale = math.sqrt(math.fsum(a * a for a in left) * math.fsum(b * b for b in right))
    return max(-1.0, min(1.0, math.fsum(a * b for a, b in zip(left, right, strict=True)) / scale)) if scale else NOTHING


def starvation_share(shares: Iterable[float], part: float = 0.5) -> float:
    """Return which share of the users who wait for something have a dominant share below `part` of 1/n, in [0, 1].

    `shares` are the n waiting users' dominant shares (the largest share that a user has of any one resource).
    Source: dominant share: Ghodsi et al., NSDI 2011; one half as the limit is ours.
    """
    values = _checked(shares)
    if not values:
        return NOTHING
    return sum(value < part / len(values) for value in values) / len(values)


def fairness_ratio(moments: Iterable[Sequence[float]]) -> float:
    """Return the smallest share over the equal share 1/k, at the worst moment: min over moments of k min(shares).

    Each moment has the shares of the k users then there. In [0, 1] for shares of one thing; dominant shares of several
    resources can be above 1/k for everybody, and the ratio above 1. Moments without users are skipped.
    It is to be read beside the disruptions per arrival that it was had with.
    Source: E. Friedman, C.-A. Psomas, S. Vardi, dynamic fair division with minimal disruptions, EC 2015.
    """
    return min((len(shares) * min(_checked(shares)) for shares in moments if len(shares)), default=NOTHING)


def disruptions_per_arrival(arrivals_s: Iterable[float], disruptions_s: Iterable[float]) -> list[int]:
    """Return how many disruptions came from each distinct arrival instant (s, ascending) on and before the next one.

    A disruption at the instant of an arrival is that arrival's; those before the first arrival are nobody's.
    Source: Friedman, Psomas, Vardi, EC 2015: their d bounds each of these numbers.
    """
    times = sorted(disruptions_s)
    before = [bisect_left(times, instant) for instant in sorted(set(arrivals_s))]
    return [end - start for start, end in pairwise([*before, len(times)])]


def price_of_fairness(total: float, best: float) -> float:
    """Return which share of the best total is lost: (best - total) / best, in [0, 1] when `best` is the best.

    Both are totals of benefits (alpha = 0) in the same unit. Negative when `best` was not the best; 0 when both are 0.
    Source: D. Bertsimas, V. Farias, N. Trichakis, Operations Research 59(1), 2011.
    """
    total, best = _checked((total, best))
    if total == best:
        return 0.0
    return (best - total) / best if 0 < best < math.inf else NOTHING


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` (in [0, 1]) of the values lies, linear between neighbours."""
    ranked = sorted(_checked(values))
    if not ranked:
        return NOTHING
    place = share * (len(ranked) - 1)
    low = int(place)
    high = min(low + 1, len(ranked) - 1)
    if ranked[low] == ranked[high] or place == low:
        return ranked[low]
    return ranked[low] + (ranked[high] - ranked[low]) * (place - low)


def mean(values: Iterable[float]) -> float:
    """Return the arithmetic mean; nan of nothing."""
    found = [float(value) for value in values]
    return math.fsum(found) / len(found) if found else math.nan


def indices(benefits: Sequence[float]) -> dict[str, float]:
    """Return Jain's index, the min/max ratio and Gini's coefficient of some benefits."""
    return {"jain": jain(benefits), "min_max": min_max_ratio(benefits), "gini": gini(benefits)}


def _checked(values: Iterable[float]) -> list[float]:
    found = [float(value) for value in values]
    for value in found:
        if not value >= 0:
            raise RunError(f"an index of fairness was given {value}, expected numbers of at least 0")
    return found


def _scaled(values: Iterable[float]) -> list[float]:
    """Values over the largest: squares neither overflow nor vanish. Beside infinity, finite values are 0."""
    found = _checked(values)
    largest = max(found, default=0.0)
    if largest == math.inf:
        return [float(value == math.inf) for value in found]
    return [value / largest for value in found] if largest else found


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def _power(value: float, exponent: float) -> float:
    try:
        return float(value**exponent)
    except (OverflowError, ZeroDivisionError):
        return math.inf


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            ranks[place] = (start + end + 1) / 2
        start = end
    return ranks

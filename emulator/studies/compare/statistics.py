"""Means over seeds and how far they can be trusted: Student's t, and differences of pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, NamedTuple

CONFIDENCE: Final = 0.95


class Interval(NamedTuple):
    """A mean, and half the width of its confidence interval."""

    mean: float
    """nan of nothing."""
    half: float
    """nan when there are fewer than two values, or infinite ones: nothing is known of their spread."""
    n: int

    @property
    def apart(self) -> bool:
        """Whether the interval leaves out 0."""
        return abs(self.mean) > self.half


def interval(values: Iterable[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the mean with its confidence interval mean +- t(n - 1) s / sqrt(n); nan are left out.

    s is the standard deviation with n - 1 below. Right for independent values whose mean is about normal.
    Source: Student (W. S. Gosset), Biometrika 6, 1908.
    """
    found = [value for value in values if not math.isnan(value)]
    count = len(found)
    if not count:
        return Interval(math.nan, math.nan, 0)
    if not all(map(math.isfinite, found)):
        return Interval(sum(found), math.nan, count)
    middle = math.fsum(found) / count
    if count == 1:
        return Interval(middle, math.nan, 1)
    deviation = math.sqrt(math.fsum((value - middle) ** 2 for value in found) / (count - 1))
    return Interval(middle, t_quantile(0.5 + confidence / 2, count - 1) * deviation / math.sqrt(count), count)


def difference(values: Mapping[int, float], first: Mapping[int, float]) -> Interval:
    """Return the mean of values - first over the seeds that both have, with the interval of those differences.

    What a seed draws (users, devices, arrivals) moves both of a pair alike and falls out of their difference: this
    interval is narrower than that of either mean. Equal infinities differ by 0.
    """
    common = sorted(values.keys() & first.keys())
    return interval(0.0 if values[seed] == first[seed] else values[seed] - first[seed] for seed in common)


@cache
def t_quantile(share: float, freedom: int) -> float:
    """Return the value below which `share` (in [0.5, 1)) of Student's t with `freedom` >= 1 degrees lies."""
    low, high = 0.0, 1.0
    while t_share(high, freedom) < share:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if t_share(middle, freedom) < share else (low, middle)
    return (low + high) / 2


def t_share(value: float, freedom: int) -> float:
    """Return the share of Student's t, with whole degrees of freedom, below `value` >= 0.

    The finite sums in sin and cos of atan(t / sqrt(freedom)). Source: M. Abramowitz, I. Stegun, Handbook of
    Mathematical Functions, 1964, 26.7.3 and 26.7.4.
    """
    angle = math.atan(value / math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term = cosine if odd else 1.0
    terms = []
    for step in range(2 + odd, freedom + 1, 2):
        terms.append(term)
        term *= cosine * cosine * (step - 1) / step
    inside = math.sin(angle) * math.fsum(terms)
    inside = (angle + inside) * 2 / math.pi if odd else inside
    return 0.5 + inside / 2

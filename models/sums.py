"""Sums of floating-point numbers that come out the same under every Python.

Python 3.12 made the builtin `sum` over floats a compensated one: it rounds otherwise than 3.11 does, and a digest sees
that. Whatever reaches a digested number is added from left to right here, or exactly with `math.fsum`; the builtin is
for integers, and a test holds that.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add


def left_sum(values: Iterable[float]) -> float:
    """Add from left to right, rounding after each step; 0.0 for nothing."""
    return reduce(add, values, 0.0)


def int_sum(values: Iterable[int]) -> int:
    """Add integers, where the names of what is added do not show that they are."""
    return sum(values)

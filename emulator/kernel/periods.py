"""Instants that come again and again, as products and not as sums, so that they do not drift.

Period `n`, from 1, is the time from `(n - 1) * period_s` to `n * period_s`. A period may be infinite: then there is but
one.
"""

from __future__ import annotations

_STEPS = 4
"""Corrections by one that a quotient needs at most; beyond them steps grow, so that a correction always ends."""
_EXACT = 1 << 52
"""Numbers above it are too large for the precision of doubles: any near one will do."""


def ending_from(at_s: float, period_s: float) -> int:
    """The first period that ends at `at_s` or later."""
    number = max(1, int(at_s / period_s))
    while 1 < number < _EXACT and (number - 1) * period_s >= at_s:
        number -= 1
    step = 1
    while number * period_s < at_s:
        number += max(1, step - _STEPS)
        step *= 2
    return number


def ending_after(at_s: float, period_s: float) -> int:
    """The first period that ends later than `at_s`."""
    number = ending_from(at_s, period_s)
    step = 1
    while number * period_s <= at_s:
        number += max(1, step - _STEPS)
        step *= 2
    return number


def beginning_s(number: int, period_s: float) -> float:
    """When a period begins (s)."""
    return (number - 1) * period_s if number > 1 else 0.0

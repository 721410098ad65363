"""What `{draw: ...}` may say: the laws by which a value of a family's world is drawn.

Numbers come out the same on any machine: logarithms are those of `decimal`, which rounds them as the standard says,
and what is drawn from a range is rounded to four significant digits, so that a drawn world can be read.

A new law is one more function here, in `LAWS`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from math import isfinite
from typing import Any, Final

from layerlift.emulator.scenario.schema.fields import LARGEST, Flaw, shown
from layerlift.models.errors import near

MOST_WHOLE: Final = 10**12
_DIGITS: Final = 30
"""Of the logarithms; far more than are kept."""


def four_digits(value: float) -> float:
    """The number rounded to four significant digits."""
    return float(f"{value:.4g}")


def _uniform(bounds: object, rng: random.Random) -> float:
    low, high = _pair(bounds, "uniform", -LARGEST, "numbers")
    return _within(low + (high - low) * rng.random(), low, high)


def _log_uniform(bounds: object, rng: random.Random) -> float:
    low, high = _pair(bounds, "log_uniform", 1e-9, "numbers above 0")
    with localcontext(prec=_DIGITS):
        bottom, top = Decimal(low).ln(), Decimal(high).ln()
        drawn = (bottom + (top - bottom) * Decimal(rng.random())).exp()
    return _within(float(drawn), low, high)


def _within(value: float, low: float, high: float) -> float:
    """Four digits of it, or an end of the range that these would leave."""
    return min(max(four_digits(value), low), high)


def _integer(bounds: object, rng: random.Random) -> int:
    ends = bounds if isinstance(bounds, list) and len(bounds) == 2 else [None, None]
    whole = [end for end in ends if isinstance(end, int) and not isinstance(end, bool) and abs(end) <= MOST_WHOLE]
    if len(whole) != 2 or whole[0] > whole[1]:
        raise Flaw(("integer",), f"is {shown(bounds)}, expected two whole numbers [low, high]")
    return whole[0] + int(rng.random() * (whole[1] - whole[0] + 1))


def _choice(given: object, rng: random.Random) -> Any:
    if isinstance(given, dict):
        return _weighed(given, rng)
    if not isinstance(given, list) or not given:
        raise Flaw(("choice",), f"is {shown(given)}, expected a list of values, or texts with weights")
    return given[int(rng.random() * len(given))]


def _weighed(given: Mapping[str, object], rng: random.Random) -> str:
    """A text by its weight, whatever the order in which they are listed."""
    weights = {name: _number(given[name]) for name in sorted(given)}
    known = [weight for weight in weights.values() if weight is not None and 0.0 < weight <= LARGEST]
    if len(known) < len(weights) or not known:
        raise Flaw(("choice",), f"is {shown(given)}, expected texts with weights above 0, or a list of values")
    return rng.choices(list(weights), known)[0]


LAWS: Final[Mapping[str, Callable[[object, random.Random], Any]]] = {
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "integer": _integer,
    "choice": _choice,
}
"""By the key that tells them; each gets what stands there, and raises `Flaw` (path from the law) for what is wrong."""


def by_law(given: Mapping[str, object], rng: random.Random) -> Any:
    """Draw what `{LAW: BOUNDS}` says. Raises `Flaw`."""
    if len(given) != 1 or (law := next(iter(given))) not in LAWS:
        hint = near(next(iter(given)), LAWS) if len(given) == 1 else f"; known: {', '.join(LAWS)}"
        raise Flaw((), f"is {shown(given)}, expected one law, such as {{uniform: [1, 2]}}{hint}")
    return LAWS[law](given[law], rng)


def _pair(bounds: object, law: str, least: float, wanted: str) -> tuple[float, float]:
    ends = [_number(end) for end in bounds] if isinstance(bounds, list) and len(bounds) == 2 else [None, None]
    low, high = ends
    if low is None or high is None or not least <= low <= high <= LARGEST:
        raise Flaw((law,), f"is {shown(bounds)}, expected two {wanted} [low, high]")
    return low, high


def _number(value: object) -> float | None:
    """A finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) > LARGEST:
        return None
    return float(value) if isfinite(value) else None

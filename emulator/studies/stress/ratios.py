"""Ratios of pairs: the geometric mean over worlds, with how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from layerlift.emulator.report.formatting import NOTHING
from layerlift.emulator.studies.compare.statistics import interval
from layerlift.emulator.studies.compare.written import plain
from layerlift.models.errors import RunError

WIDEST: Final = 1000.0
"""One world counts as a ratio of this at most, and of its inverse at least: what costs nothing has no logarithm."""


class Ratio(NamedTuple):
    """A geometric mean of ratios, and the ends of its 95 % interval."""

    mean: float
    """nan of nothing."""
    low: float
    """nan of fewer than two."""
    high: float
    n: int

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return NOTHING
        return (
            plain(self.mean) if math.isnan(self.low) else f"{plain(self.mean)} ({plain(self.low)}-{plain(self.high)})"
        )

    def as_dict(self) -> dict[str, float | int | None]:
        """As JSON."""
        ends = (None if math.isnan(end) else end for end in (self.mean, self.low, self.high))
        return dict(zip(("mean", "low", "high"), ends, strict=True)) | {"n": self.n}


def geometric(values: Iterable[float]) -> Ratio:
    """The geometric mean of positive numbers with its interval: Student's t on their logarithms.

    Each counts within [1 / `WIDEST`, `WIDEST`]. Raises `RunError` for a nan or a negative number.
    """
    logs = []
    for value in values:
        if not value >= 0:
            raise RunError(f"a geometric mean was asked of {value}, expected numbers of at least 0")
        logs.append(math.log(min(max(value, 1.0 / WIDEST), WIDEST)))
    found = interval(logs)
    if not found.n:
        return Ratio(math.nan, math.nan, math.nan, 0)
    if math.isnan(found.half):
        return Ratio(math.exp(found.mean), math.nan, math.nan, found.n)
    # Worlds that differ in everything have intervals without bound: beyond this they say no more.
    low, high = (min(max(end, -50.0), 50.0) for end in (found.mean - found.half, found.mean + found.half))
    return Ratio(math.exp(found.mean), math.exp(low), math.exp(high), found.n)


def paired(values: Mapping[int, float], reference: Mapping[int, float]) -> Ratio:
    """The ratio of `values` to `reference` over the worlds that both have; two zeros are equal."""
    return geometric(_over(values[world], reference[world]) for world in sorted(values.keys() & reference.keys()))


def _over(above: float, below: float) -> float:
    if above == below:
        return 1.0
    return above / below if below else WIDEST

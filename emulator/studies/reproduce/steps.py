"""Functions of time that are constant between changes, such as the delay of a query while parts are uploaded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum

from layerlift.models.errors import RunError


@dataclass(frozen=True, slots=True)
class Steps:
    """`values[k]` holds from `at_s[k]` until the next change; `at_s` ascends strictly and begins with 0."""

    at_s: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, changes: Iterable[tuple[float, float]]) -> Steps:
        """Make one of (time, value from then on), times ascending; of equal times the last counts.

        What changes nothing is left out. Raises `RunError` when the first time is above 0 or there is none.
        """
        at_s: list[float] = []
        values: list[float] = []
        for time_s, value in changes:
            since = max(0.0, time_s)
            if at_s and at_s[-1] == since:
                at_s.pop()
                values.pop()
            if not values or values[-1] != value:
                at_s.append(since)
                values.append(value)
        if not at_s or at_s[0] > 0.0:
            raise RunError(f"a step function was given changes at {at_s[:3]}, expected one at 0 or before")
        return cls(tuple(at_s), tuple(values))

    def at(self, time_s: float) -> float:
        """The value at a time that is not negative."""
        return self.values[bisect_right(self.at_s, time_s) - 1]

    def area(self, until_s: float, since_s: float = 0.0) -> float:
        """The integral from `since_s` to `until_s`."""
        ends = (*self.at_s[1:], float("inf"))
        return fsum(
            value * max(0.0, min(end, until_s) - max(begin, since_s))
            for begin, end, value in zip(self.at_s, ends, self.values, strict=True)
        )

    def first_at_most(self, level: float) -> float | None:
        """When the value is first `level` or less; None when it never is."""
        return next((at for at, value in zip(self.at_s, self.values, strict=True) if value <= level), None)


def mean(functions: Sequence[Steps]) -> Steps:
    """The mean of step functions, at every time."""
    times = sorted({at for each in functions for at in each.at_s})
    return Steps.of((at, fsum(each.at(at) for each in functions) / len(functions)) for at in times)

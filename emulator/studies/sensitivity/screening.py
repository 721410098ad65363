"""A Morris screening: all assumptions moved together, one after the other, on random paths between half and double.

A path begins at a random point of a grid and moves one factor at a time; how much the number changes, per way from half
to double, is that factor's elementary effect there. Their mean size says how much a factor matters anywhere, their
spread whether it depends on the others. Source: M. D. Morris, Technometrics 33, 1991; F. Campolongo, J. Cariboni,
A. Saltelli, Environmental Modelling & Software 22, 2007, for the mean of sizes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from layerlift.emulator.studies.compare.statistics import Interval, interval
from layerlift.emulator.studies.sensitivity.measures import Measure
from layerlift.models.errors import RunError

TRAJECTORIES: Final = 10
MOST_TRAJECTORIES: Final = 1000
_GRID: Final = 4
"""Values of each factor: half, double, and two between that are as far apart by factors."""

Point = tuple[float, ...]
"""Where each factor is between half (0) and double (1), its size counted by factors."""


class Effect(NamedTuple):
    """What one factor does to a number, wherever the others are."""

    size: Interval
    """Of an elementary effect, without its sign: from half to double, in the number's unit."""
    mean: float
    spread: float
    """The standard deviation of elementary effects: large where the effect depends on the others, or is not even."""


@dataclass(frozen=True)
class Screening:
    """What was seen at every point, by planner; of a run that failed there is none."""

    paths: tuple[tuple[Point, ...], ...]
    outcomes: Mapping[str, Mapping[tuple[int, int], Mapping[str, Any]]]
    """By planner, then (path, place on it)."""

    @property
    def points(self) -> int:
        """How many worlds there are, each under all planners."""
        return sum(1 for path in self.paths for _ in path)

    def effects(self, measure: Measure, planner: str) -> list[Effect]:
        """By factor."""
        values = self._values(measure, planner)
        found: dict[int, list[float]] = defaultdict(list)
        for number, path in enumerate(self.paths):
            for factor, effect in elementary(path, [values.get((number, place)) for place in range(len(path))]):
                found[factor].append(effect)
        return [_effect(found[factor]) for factor in range(len(self.paths[0][0]))]

    def best(self, measure: Measure) -> dict[str, float]:
        """By planner, the share of all points, of those that all have, where it alone or with others is best."""
        values = {planner: self._values(measure, planner) for planner in self.outcomes}
        common = set.intersection(*(set(each) for each in values.values()))
        won = dict.fromkeys(values, 0)
        for where in common:
            worths = {planner: measure.worth(each[where]) for planner, each in values.items()}
            for planner in won:
                won[planner] += worths[planner] == min(worths.values())
        return {planner: count / len(common) for planner, count in won.items()} if common else {}

    def _values(self, measure: Measure, planner: str) -> dict[tuple[int, int], float]:
        found = {}
        for where, outcome in self.outcomes[planner].items():
            value = measure.of(outcome) if "failed" not in outcome else None
            if value is not None:
                found[where] = value
        return found


def elementary(path: Sequence[Point], values: Sequence[float | None]) -> list[tuple[int, float]]:
    """The elementary effects on one path: (factor, change of the value / change of the factor), where both are known.

    From one point to the next exactly one factor moves.
    """
    found = []
    for place in range(1, len(path)):
        before, after = values[place - 1], values[place]
        [factor] = [at for at, (a, b) in enumerate(zip(path[place - 1], path[place], strict=True)) if a != b]
        if before is not None and after is not None:
            found.append((factor, (after - before) / (path[place][factor] - path[place - 1][factor])))
    return found


def times(point: Point) -> list[float]:
    """By how much each factor is multiplied there: 1/2 at 0, 2 at 1."""
    return [2.0 ** (2.0 * share - 1.0) for share in point]


def paths(factors: int, count: int, seed: int) -> tuple[tuple[Point, ...], ...]:
    """So many paths over so many factors, the same for the same seed. Raises `RunError` where SALib is missing."""
    sample = _sampler()
    problem = {
        "num_vars": factors,
        "names": [str(number) for number in range(factors)],
        "bounds": [[0.0, 1.0]] * factors,
    }
    made = sample.sample(problem, count, num_levels=_GRID, seed=seed % 2**32).tolist()
    length = factors + 1
    return tuple(
        tuple(tuple(round(share, 9) for share in row) for row in made[first : first + length])
        for first in range(0, len(made), length)
    )


def check(trajectories: int) -> None:
    """Raise `RunError` for what cannot be screened."""
    if isinstance(trajectories, bool) or not 2 <= trajectories <= MOST_TRAJECTORIES:
        raise RunError(f"trajectories is {trajectories}, expected how many paths to take, 2 to {MOST_TRAJECTORIES}")
    _sampler()


def _sampler() -> Any:
    try:
        from SALib.sample import morris
    except ImportError:
        raise RunError("a Morris screening needs SALib, which is not here: pip install 'layerlift[studies]'") from None
    return morris


def _effect(found: Sequence[float]) -> Effect:
    if not found:
        return Effect(interval([]), math.nan, math.nan)
    middle = math.fsum(found) / len(found)
    spread = math.sqrt(math.fsum((each - middle) ** 2 for each in found) / (len(found) - 1)) if found[1:] else math.nan
    return Effect(interval(abs(each) for each in found), middle, spread)

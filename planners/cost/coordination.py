"""How well a plan's latency, energy and money go together: the coupling coordination degree of the three.

Each term is told as U = 1 - (term - best) / (local - best), from 0.01 to 0.99: how much of what can be gained in it is
gained. C = 3 (U1 U2 U3)^(1/3) / (U1 + U2 + U3) says how even that is, T = w1 U1 + w2 U2 + w3 U3 how much it is, and
the degree is D = sqrt(C T). It adds up over nothing, and a plan that is better in one term may have a lower one; with
equal weights that cannot be, for C T is then the geometric mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Final, TypeVar

import numpy as np

from layerlift.planners.cost import query
from layerlift.planners.cost.pieces import Sums, cheapest_ways, whole_pieces
from layerlift.planners.problem.problem import Floats, Objective, Problem

Quantity = TypeVar("Quantity", float, Floats)

LEAST: Final = 0.01
MOST: Final = 0.99
"""Shares of what can be gained are told as no less and no more, so that one that is 0 does not hide the others."""
SETTLED: Final = 1e-3
"""A term that can change by less than this share of itself is told as if it could change by that."""
_NOTHING: Final = 1e-30
_ROUNDS: Final = 16
"""Of Halley's, which triples the digits: from 1 to the cube root of a millionth in so many, to the last bit but one."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Between what and what each term of a problem lies: latency (s), energy (J), money."""

    best: tuple[float, float, float]
    """The least of each, of all plans of whole units, memory aside: by dynamic programming."""
    wide: tuple[float, float, float]
    """How much more staying local costs; where that is the least itself, what the best plan of another term costs."""
    weights: tuple[float, float, float]
    """Of the terms, 1 in all."""

    def degree(self, latency_s: Quantity, energy_j: Quantity, money: Quantity) -> Quantity:
        """The degree of plans that cost so much, from 0.1 to 0.995, by + - * / and square roots alone."""
        one, two, three = self.shares(latency_s, energy_j, money)
        even = 3.0 * _cube_root(one * two * three) / (one + two + three)
        weighed = self.weights[0] * one + self.weights[1] * two + self.weights[2] * three
        product = even * weighed
        return sqrt(product) if isinstance(product, float) else np.sqrt(product)

    def shares(self, latency_s: Quantity, energy_j: Quantity, money: Quantity) -> tuple[Quantity, Quantity, Quantity]:
        """How much of what can be gained in each term is gained, from `LEAST` to `MOST`."""
        one, two, three = (
            _clipped(1.0 - (term - best) / wide)
            for term, best, wide in zip((latency_s, energy_j, money), self.best, self.wide, strict=True)
        )
        return one, two, three


def spans_of(problem: Problem) -> Spans:
    """See `Spans`."""
    local = _terms(problem, (0,) * len(problem.graph))
    sums = Sums(problem, whole_pieces(problem.graph))
    ways = cheapest_ways([sums.weighed(weight) for weight in np.eye(3)])
    plans = [_terms(problem, sums.placement(way)) for way in ways]
    best, wide = [], []
    for term in range(3):
        # What goes through a link that carries nothing lasts for ever, and is no measure.
        among = [value for value in (local[term], *(plan[term] for plan in plans)) if value < inf]
        least = min(among)
        worst = local[term] if local[term] > least else max(among)
        best.append(least)
        wide.append(max(worst - least, SETTLED * abs(worst), _NOTHING))
    return Spans((best[0], best[1], best[2]), (wide[0], wide[1], wide[2]), _weights(problem.objective))


def _terms(problem: Problem, placement: tuple[int, ...]) -> tuple[float, float, float]:
    found = query.evaluate(problem, placement)
    return found.latency_s, found.energy_j, found.money


def _weights(wanted: Objective) -> tuple[float, float, float]:
    """Those of the objective, where it weighs two terms at least; else they are equal."""
    given = (wanted.latency, wanted.energy, wanted.money)
    if len([weight for weight in given if weight > 0.0]) < 2:
        given = (1.0, 1.0, 1.0)
    total = given[0] + given[1] + given[2]
    return given[0] / total, given[1] / total, given[2] / total


def _clipped(share: Quantity) -> Quantity:
    if isinstance(share, float):
        return min(max(share, LEAST), MOST)
    return np.clip(share, LEAST, MOST)


def _cube_root(value: Quantity) -> Quantity:
    """The cube root of numbers from a millionth to 1, the same on every processor: libraries' differ in last bits."""
    made = value * 0.0 + 1.0
    for _ in range(_ROUNDS):
        cubed = made * made * made
        made = made * (cubed + 2.0 * value) / (2.0 * cubed + value)
    return made

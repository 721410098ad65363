"""How well latency, energy and money of a user's plan go together, as its planner was told them."""

from __future__ import annotations

from typing import Final

import numpy as np

from layerlift.planners import evaluate
from layerlift.planners.cost.coordination import Spans, spans_of
from layerlift.planners.cost.units import units_of
from layerlift.planners.problem.problem import Problem

MOST_STEPS: Final = 1_000_000
"""Units of a network x nodes x nodes up to which a run tells the degree: with more it takes longer than the plan."""
_MOST_KNOWN: Final = 4096
_KNOWN: Final[dict[str, Spans]] = {}


def plan_coordination(problem: Problem, placement: tuple[int, ...]) -> float | None:
    """The coupling coordination degree of a plan, as `layerlift plan` tells it, from 0.1 to 0.995.

    None where neither energy nor money is given, so that there is nothing for latency to go together with, and where
    the network and its servers are too many to look for the best of each.
    """
    if not _weighable(problem) or len(units_of(problem.graph)) * len(problem.nodes) ** 2 > MOST_STEPS:
        return None
    found = evaluate(problem, placement)
    return _spans(problem).degree(found.latency_s, found.energy_j, found.money)


def _weighable(problem: Problem) -> bool:
    power = problem.power
    given = (problem.busy_w, problem.price_per_s, problem.price_per_byte, problem.price_per_byte_s)
    return any((power.idle_w, power.compute_w, power.radio_w)) or any(bool(np.any(each)) for each in given)


def _spans(problem: Problem) -> Spans:
    """Kept by digest, for variants of a comparison, and users who are alike, ask the same."""
    known = _KNOWN.get(problem.digest)
    if known is None:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        known = _KNOWN[problem.digest] = spans_of(problem)
    return known

"""A front as a planner draws it, asked under many weightings of the terms, and how much of the exact one that is."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from layerlift.planners.cost.judge import Term
from layerlift.planners.offloading.front import TERMS, Front, FrontPoint, undominated_points
from layerlift.planners.problem.plan import Plan
from layerlift.planners.problem.problem import Floats, Objective, Problem
from layerlift.planners.registry.base import Choosing
from layerlift.planners.registry.combine import Combined

PARTS_OF_TWO: Final = 32
PARTS_OF_THREE: Final = 8
"""Into how many parts the weights are divided: 33 weightings of two terms, 45 of three."""
BEYOND: Final = 1.1
"""Where hypervolume ends: at a tenth of each term's range beyond its worst on the exact front."""


class Plans(Protocol):
    """What a planner does for a front."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """A plan of a problem."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a planner's plans come to."""

    weightings: int
    """Under how many it was asked."""
    candidates: int
    """How many different placements it has answered, or chosen from where it can name these."""
    points: tuple[FrontPoint, ...]
    """Of them, those that none of the others beats, by rising first term."""
    share: float
    """Its hypervolume, as a share of the exact front's; slightly above 1 where that is no more than a good spread."""


def drawn_front(problem: Problem, exact: Front, planner: Plans, rng: random.Random) -> Drawn:
    """The front of `exact`'s terms as `planner` draws it; memory counts, deadline and budget do not.

    A planner that can name what it chooses from is taken at all of that: what is not the best under any weighting, for
    weighted sums see the convex hull alone, may still be beaten by nothing.
    """
    asked = list(weightings(exact.terms))
    placer = planner.offloading if isinstance(planner, Combined) else planner
    free = replace(problem, objective=Objective())
    if isinstance(placer, Choosing):
        found = placer.candidates(free, asked, rng)
    else:
        plans = (planner.plan(replace(problem, objective=each), rng) for each in asked)
        found = [*dict.fromkeys(plan.placement for plan in plans)]
    points = undominated_points(free, exact.terms, found)
    return Drawn(len(asked), len(found), points, share_of(points, exact))


def weightings(terms: Sequence[Term]) -> Iterator[Objective]:
    """Objectives that weigh the terms in equal steps, each term alone among them."""
    parts = PARTS_OF_TWO if len(terms) == 2 else PARTS_OF_THREE
    for counts in itertools.product(range(parts + 1), repeat=len(terms)):
        if int(np.add.reduce(counts)) == parts:
            weights = {term: count / parts for term, count in zip(terms, counts, strict=True)}
            yield Objective(**{term: weights.get(term, 0.0) for term in TERMS})


def share_of(points: Sequence[FrontPoint], exact: Front) -> float:
    """The hypervolume of some points, as a share of the exact front's."""
    own, best = (
        np.array([[point.value(term) for term in exact.terms] for point in some]) for some in (points, exact.points)
    )
    least = best.min(axis=0)
    extent = best.max(axis=0) - least
    extent = np.where(extent > 0.0, extent, np.maximum(np.abs(least), 1e-12))
    return hypervolume((own - least) / extent, BEYOND) / hypervolume((best - least) / extent, BEYOND)


def hypervolume(points: Floats, end: float) -> float:
    """The volume of what points, shape (K, d), are no worse than, up to `end` in each dimension; less is better."""
    inside = points[(points < end).all(axis=1)]
    if not len(inside):
        return 0.0
    if inside.shape[1] == 1:
        return end - float(inside.min())
    order = inside[np.argsort(inside[:, -1], kind="stable")]
    heights = np.diff(order[:, -1], append=end)
    total = 0.0
    for number in np.flatnonzero(heights > 0.0).tolist():
        total += float(heights[number]) * hypervolume(order[: number + 1, :-1], end)
    return total

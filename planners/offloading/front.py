"""What one term of a query buys of another: the placements that none beats in everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners import cost
from layerlift.planners.cost.domination import undominated
from layerlift.planners.cost.judge import Judge, Term, term_of
from layerlift.planners.cost.pieces import Sums, whole_pieces
from layerlift.planners.cost.query import Cost
from layerlift.planners.graphs.label_bounds import Quantity
from layerlift.planners.graphs.label_search import LabelSearch
from layerlift.planners.offloading import pipeline
from layerlift.planners.offloading.labels import resources_of
from layerlift.planners.offloading.pipeline import searches
from layerlift.planners.offloading.units import Placement, place
from layerlift.planners.problem.problem import Objective, Problem

ADDITIVE: tuple[Term, ...] = ("latency", "energy", "money")
"""Terms that are sums over what a query does."""

TERMS: tuple[Term, ...] = (*ADDITIVE, "period")

MOST_OF_TWO, MOST_OF_THREE = 4000, 120
"""Labels kept at a node. Of two terms that is more than there are, of three a good spread."""

MOST_PACED, PACE_STEP = 64, 1e-3
"""Limits of the period under which the fastest pipeline is asked for, and by what share each is below the last."""

BEYOND_ANY = 1e12
"""A period in seconds that no pipeline has."""

STEP_OF_THREE = 2e-3
"""Share by which a label must be ahead, of three terms, to be kept."""


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One placement, and what a query costs under it."""

    placement: Placement
    costs: Cost

    def value(self, term: Term) -> float:
        """One of its terms."""
        return term_of(self.costs, term)


@dataclass(frozen=True, slots=True)
class Front:
    """The points that none beats, by rising first term."""

    terms: tuple[Term, ...]
    points: tuple[FrontPoint, ...]
    complete: bool
    """Whether it has every point of placements that keep each unit on one node."""

    @property
    def knee(self) -> FrontPoint:
        """The point nearest to having the best of every term, each measured by its range on the front."""
        table = np.array([[point.value(term) for term in self.terms] for point in self.points])
        least, most = table.min(axis=0), table.max(axis=0)
        share = (table - least) / np.where(most > least, most - least, 1.0)
        return self.points[int((share**2).sum(axis=1).argmin())]

    def bought(self, point: FrontPoint, term: Term, share: float) -> dict[Term, float]:
        """By what share each other term falls at most, below `point`'s, when `term` may be `share` above it."""
        limit = point.value(term) * (1.0 + share)
        among = [each for each in self.points if each.value(term) <= limit] or [point]
        found: dict[Term, float] = {}
        for other in self.terms:
            if other != term:
                now, least = point.value(other), min(each.value(other) for each in among)
                found[other] = max(0.0, 1.0 - least / now) if now > 0.0 else 0.0
        return found


def front_of(problem: Problem, terms: Sequence[str]) -> Front:
    """The front of two or three terms of `problem`, whose servers' memory counts; deadline and budget do not.

    Of two terms it is exact among placements that keep each unit on one node, of three it is a good spread, and so it
    is where one of them is the period, which is no sum: then of the pipelines, the single cuts, and the front of the
    other terms and latency. Points that cut inside modules join where they are known to be the best of one term.
    Raises `PlanError` for other terms.
    """
    chosen: tuple[Term, ...] = tuple(term for term in TERMS if term in terms)
    if not 2 <= len(chosen) <= 3 or len(chosen) < len(terms):
        asked = ",".join(terms) or "nothing"
        raise PlanError(f"a front of {asked} was asked for, expected two or three of {', '.join(TERMS)}")
    free = replace(problem, objective=Objective())
    summed = tuple(term for term in chosen if term != "period")
    paced = len(summed) < len(chosen)
    if len(summed) == 1:
        # One sum alone has a least and no front; what else latency buys of it differs in period as well.
        summed = ("latency", summed[0] if summed[0] != "latency" else "energy")
    found, complete = _by_labels(free, summed)
    found += [least_of(free, term) for term in chosen]
    if paced:
        found += [*_paced(free), *_cuts(free, chosen)]
    points = undominated_points(free, chosen, found)
    return Front(chosen, points, complete and len(chosen) == 2 and not paced)


def _by_labels(problem: Problem, terms: Sequence[Term]) -> tuple[list[Placement], bool]:
    """Placements of the front of two or three sums, and whether every label was looked at."""
    sums = Sums(problem, whole_pieces(problem.graph))
    first, *others = (Quantity(*sums.weighed(np.eye(3)[ADDITIVE.index(term)])) for term in terms)
    limits = [each.quantity for each in resources_of(sums)]
    two = len(others) == 1
    search = LabelSearch(
        first, [*others, *limits], MOST_OF_TWO if two else MOST_OF_THREE, step=0.0 if two else STEP_OF_THREE
    )
    made = search.run()
    return [sums.placement(nodes) for nodes in made.nodes.tolist()], made.complete


def _paced(problem: Problem) -> list[Placement]:
    """Pipelines: under ever lower limits of the period the fastest of each, down to the least period that there is.

    First with stages of any length, for there are faster ones than those that beat the best single server's period; and
    then without, for such a search may have to leave servers out where the other need not.
    """
    made: list[Placement] = []
    for pipelines in [*searches(problem, any_stage=True), *searches(problem)]:
        least_s, runs = pipelines.least_period()
        if not runs:
            continue
        made.append(pipelines.placement(runs))
        limit_s = BEYOND_ANY
        for _ in range(MOST_PACED):
            fastest = pipelines.fastest(limit_s)
            if not fastest:
                break
            made.append(pipelines.placement(fastest))
            limit_s = min(limit_s, cost.period(problem, made[-1])) * (1.0 - PACE_STEP)
            if limit_s < least_s:
                break
    return made


def _cuts(problem: Problem, terms: Sequence[Term]) -> list[Placement]:
    """The single cuts that no other beats in the terms, as far as sums tell."""
    cuts = Judge(problem).cuts
    if not len(cuts):
        return []
    table = np.array([term_of(cuts, term) for term in terms]).T
    return [cuts.placement(number) for number in undominated(table)]


def undominated_points(
    problem: Problem, terms: Sequence[Term], placements: Iterable[Placement]
) -> tuple[FrontPoint, ...]:
    """The legal placements that none of the others beats in every term, by rising first term."""
    points = [
        FrontPoint(placement, cost.evaluate(problem, placement))
        for placement in dict.fromkeys(placements)
        if cost.fits(problem, placement)
    ]
    table = np.array([[point.value(term) for term in terms] for point in points]).reshape(len(points), len(terms))
    return tuple(points[number] for number in undominated(table))


def least_of(problem: Problem, term: Term) -> Placement:
    """The best placement known for one term alone."""
    if term == "period":
        return pipeline.place(problem).placement
    weights = {each: float(each == term) for each in TERMS}
    return place(Judge(replace(problem, objective=Objective(**weights))))

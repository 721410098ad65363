"""The cheapest way of a chain through any number of nodes."""

from __future__ import annotations

import random
from collections.abc import Callable

from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.stay import Leaves, StayGiven, ToldStay, stay_in, stay_of
from layerlift.planners.offloading import labels, lagrangian
from layerlift.planners.offloading.polishing import polish
from layerlift.planners.offloading.units import Placement
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase


class ShortestPath(PlannerBase):
    """Dynamic programming over (unit, node): exact for chains and any number of nodes, with and without limits.

    Exact for latency, energy, money and their weighted sum, without balance, period, coordination and a price on memory
    held, among placements that keep each branching module on one node; a deadline, a budget and short memory are kept
    by label setting. It is `labels`, and where labels may not be all, the better of that and a Lagrangian search.
    `stay_s`, `leaves` and `polish` are those of `labels`.
    """

    def __init__(self, stay_s: StayGiven = None, leaves: Leaves = "known", polish: bool = False) -> None:
        self.polish = polish
        self.stay = stay_of("shortest_path", stay_s, leaves)
        self.wants_stay = isinstance(self.stay, ToldStay)

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Bellman, On a routing problem, 1958; the layered graph is that of Jeong et al., IONN, SoCC 2018"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The cheapest placement found, or all-local where that is no worse."""
        return self.choose(problem, offload)

    def choose(self, problem: Problem, uploaded: Callable[[Placement], Plan]) -> Plan:
        """The same, `uploaded` as it will be: what is best over a stay depends on that."""
        stay, judge = stay_in(self.stay, problem), Judge(problem)
        placement = polish(judge, place(judge)) if self.polish else place(judge)
        return uploaded(placement) if stay is None else labels.over_stay(stay, judge, placement, True, uploaded)


def place(judge: Judge) -> Placement:
    """The cheapest placement of the units, all-local where that is no worse (see `ShortestPath`)."""
    found, complete = labels.place(judge)
    if not complete or judge.key(found)[0] > 0.0:
        found = min((found, judge.or_local(lagrangian.place(judge))), key=judge.key)
    return found

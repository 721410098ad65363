"""The cheapest way of a chain through any number of nodes."""

from __future__ import annotations

import random

from layerlift.planners.cost.judge import Judge
from layerlift.planners.offloading import labels, lagrangian
from layerlift.planners.offloading.units import Placement
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase


class ShortestPath(PlannerBase):
    """Dynamic programming over (unit, node): exact for chains and any number of nodes, with and without limits.

    Exact for latency, energy, money and their weighted sum, without balance, period and a price on memory held, among
    placements that keep each branching module on one node; a deadline, a budget and short memory are kept by label
    setting. It is `labels`, and where labels may not be all, the better of that and a Lagrangian search.
    """

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Bellman, On a routing problem, 1958; the layered graph is that of Jeong et al., IONN, SoCC 2018"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The cheapest placement found, or all-local where that is no worse."""
        return offload(place(problem))


def place(problem: Problem) -> Placement:
    """The cheapest placement of the units, all-local where that is no worse (see `ShortestPath`)."""
    judge = Judge(problem)
    found, complete = labels.place(judge)
    if not complete or judge.key(found)[0] > 0.0:
        found = min((found, judge.or_local(lagrangian.place(judge))), key=judge.key)
    return found

"""The cheapest way of a chain through any number of nodes."""

from __future__ import annotations

import random

from layerlift.planners.cost.judge import Judge
from layerlift.planners.graphs.memory_price import Placement
from layerlift.planners.offloading import lagrangian
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase


class ShortestPath(PlannerBase):
    """Dynamic programming over (unit, node): exact for chains and any number of nodes, in O(L N^2).

    Exact for latency, energy, money and their weighted sum, without balance, without a price on memory held, and
    where neither memory nor a constraint binds. Where memory is short a price per byte held is raised until the
    plan fits, and where a deadline or a budget is missed the weights lean towards latency or money: both are
    Lagrangian searches, good but not exact. A branching module moves as one unit to one node.
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
    return judge.or_local(lagrangian.place(judge))

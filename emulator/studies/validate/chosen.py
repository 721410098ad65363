"""The planner of a validation: the placement and the order of parts that were really tried."""

from __future__ import annotations

import random

from layerlift.planners.problem.plan import Plan, Upload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase


class Chosen(PlannerBase):
    """Unit u begins at layer `firsts[u]` and ends on node `nodes[u]` (0: the client); those of servers are parts."""

    optimises = "nothing"

    def __init__(self, firsts: list[int], nodes: list[int]) -> None:
        self._firsts, self._nodes = firsts, nodes

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """What was chosen, whatever the problem."""
        ends = [*self._firsts[1:], len(problem.graph)]
        units = list(zip(self._firsts, ends, self._nodes, strict=True))
        placement = tuple(node for begin, end, node in units for _ in range(begin, end))
        return Plan(placement, tuple(Upload(node, tuple(range(begin, end))) for begin, end, node in units if node))
